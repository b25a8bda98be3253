"""Views of pictures: boxes go where the pixels go, and the same seed shows the same."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sightline_training.augmentation import IGNORED, Augmentation, AugmentationOptions

SIDE = 96  # pixels of a view
COUNT = 24  # pictures in a batch
BOX = (0.25, 0.5, 0.5, 0.875)  # ymin xmin ymax xmax
PLAIN = AugmentationOptions(
    zoom_out=0, zoom_in=0, stretch=1, mirror=0, brightness=0, contrast=0, saturation=0, tint=0
)


def batch() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A white box on black, and a row of padding."""
    pixels = np.zeros((COUNT, 160, 160, 3), np.uint8)
    pixels[:, 40:80, 80:140] = 255
    corners = np.tile(np.array([BOX, (0, 0, 0, 0)], np.float32), (COUNT, 1, 1))
    return tf.constant(pixels), tf.constant(corners), tf.constant([[1, 0]] * COUNT)


def views(options: AugmentationOptions, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    made = Augmentation(options, SIDE, SIDE)(*batch(), tf.constant([seed, 0], tf.int64))
    return tuple(part.numpy() for part in made)  # type: ignore[return-value]


@pytest.mark.parametrize(
    "options",
    [
        PLAIN,
        AugmentationOptions(zoom_out=1, zoom_in=0, brightness=0, contrast=0, saturation=0, tint=0),
        AugmentationOptions(zoom_out=0, zoom_in=1, brightness=0, contrast=0, saturation=0, tint=0),
    ],
    ids=["whole", "farther", "closer"],
)
def test_boxes_go_where_the_pixels_go(options: AugmentationOptions) -> None:
    pixels, corners, ids = views(options)
    assert pixels.shape == (COUNT, SIDE, SIDE, 3)
    assert (ids == [1, 0]).all()  # a closer view that cut the box would not have been taken
    for picture, box in zip(pixels[..., 0], corners[:, 0], strict=True):
        rows, columns = np.nonzero(picture > 200)
        seen = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        np.testing.assert_allclose(box * SIDE, seen, atol=1.5)
    spread = corners[:, 0].std(0).max()
    assert (spread > 0.02) == (options is not PLAIN)


def test_a_box_is_where_its_pixels_are_within_a_part_of_a_pixel() -> None:
    closer = AugmentationOptions(zoom_out=0, zoom_in=1, brightness=0, contrast=0, saturation=0, tint=0)
    off = []
    for options in (PLAIN, closer):
        pixels, corners, _ = views(options)
        light = pixels[..., 0] / 255
        for axis in (1, 2):
            weighed = light.sum(3 - axis)
            middle = (weighed * (np.arange(SIDE) + 0.5)).sum(1) / weighed.sum(1)
            off.append(middle - corners[:, 0, [axis - 1, axis + 1]].mean(1) * SIDE)
    assert np.abs(off).max() < 0.2  # 0.3 where the middles of pixels are taken for their edges


def test_the_same_seed_shows_the_same_and_another_something_else() -> None:
    one, again, other = (views(AugmentationOptions(), seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).mean() > 1


def test_a_box_that_a_view_cuts_through_is_ignored_and_one_outside_is_gone() -> None:
    view = Augmentation(PLAIN, SIDE, SIDE)
    windows = tf.constant([[0.0, 0.0, 1.0, 0.6], [0.5, 0.0, 1.0, 0.5]])
    corners = tf.constant([[BOX], [BOX]])
    mirrored = tf.constant([[False], [False]])
    _, ids = view._seen(windows, mirrored, corners, tf.constant([[1], [1]]))
    np.testing.assert_array_equal(ids, [[IGNORED], [0]])


def test_light_and_colour_vary_and_stay_in_range() -> None:
    grey = AugmentationOptions(zoom_out=0, zoom_in=0, mirror=0, grey=1, tint=0)
    pixels, _, _ = views(grey)
    assert np.ptp(pixels, -1).max() < 1e-2
    pixels, _, _ = views(AugmentationOptions(zoom_out=0, zoom_in=0, mirror=0))
    assert pixels.min() >= 0
    assert pixels.max() <= 255
    assert np.ptp(pixels[:, 5, 5], 0).max() > 10  # of one place, over the batch
