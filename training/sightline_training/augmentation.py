"""Random views of labelled pictures: closer, farther, mirrored, in another light.

A whole batch at a time, on stateless random numbers: the same seed gives the same views, wherever a
run was interrupted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import tensorflow as tf

from sightline_training import boxes
from sightline_training.ranges import SHARE, Range, check

IGNORED: Final = -1  # class id of a box that a view cut through: neither asked for nor background
_GREY: Final = 128.0  # around a picture seen from farther away; 0 once scaled
_CANDIDATES: Final = 12  # windows drawn per picture, of which the first good one is taken
_RANGES: Final = {
    **dict.fromkeys(
        ("zoom_out", "zoom_in", "kept", "mirror", "brightness", "contrast", "saturation", "tint", "grey"),
        SHARE,
    ),
    "farthest": Range(1),
    "closest": Range(0, 1, open=True),
    "stretch": Range(1),
}


@dataclass(frozen=True, slots=True)
class AugmentationOptions:
    """How far the views may go. Chances and shares from 0 to 1."""

    zoom_out: float = 0.3  # chance of a view from farther away
    farthest: float = 2.5  # window's side to the picture's, at most
    zoom_in: float = 0.5  # chance of a closer view
    closest: float = 0.4  # window's side to the picture's, at least
    stretch: float = 1.25  # window's width to height, or the other way round, at most
    kept: float = 0.6  # share of a box that must be seen for it to be asked for
    mirror: float = 0.5  # chance
    brightness: float = 0.25  # of the full range, either way
    contrast: float = 0.35  # either way from 1
    saturation: float = 0.5  # either way from 1
    tint: float = 0.1  # of each channel, either way from 1
    grey: float = 0.0  # chance of a view without colour

    def __post_init__(self) -> None:
        check(self, _RANGES)


class Augmentation:
    """Makes views of a batch.

    Args:
        options: how far they go.
        height, width: pixels of a view.
    """

    def __init__(self, options: AugmentationOptions, height: int, width: int) -> None:
        self._options = options
        self._size = (height, width)

    def __call__(
        self, pixels: tf.Tensor, corners: tf.Tensor, class_ids: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Make one view of each picture.

        Args:
            pixels: uint8 [N, h, w, 3] RGB.
            corners: float32 [N, B, 4], ymin xmin ymax xmax, 0 to 1.
            class_ids: int32 [N, B], from 1; 0 pads.
            seed: int32 [2].

        Returns:
            float32 [N, height, width, 3], 0 to 255, and the boxes as the view has them. A box of which
            too little is seen has class id IGNORED.
        """
        dice = _Dice(seed, tf.shape(pixels)[0])
        windows = self._windows(dice, corners, class_ids)
        mirrored = dice.chance(self._options.mirror)[:, None]
        windows_read = tf.where(mirrored, tf.gather(windows, [0, 3, 2, 1], axis=1), windows)
        views = self._read(tf.cast(pixels, tf.float32), windows_read)  # x running backwards mirrors
        views = self._recolor(dice, views)
        corners, class_ids = self._seen(windows, mirrored, corners, class_ids)
        return views, corners, class_ids

    def _read(self, pixels: tf.Tensor, windows: tf.Tensor) -> tf.Tensor:
        """What is seen in windows float32 [N, 4] of pixels float32 [N, h, w, 3].

        The operation lays the middle of the first and last pixel on a window's edges; labels mean the
        pixels' own edges, so it is given the window from middle to middle.
        """
        view, stored = tf.constant(self._size, tf.float32), tf.cast(tf.shape(pixels)[1:3], tf.float32)
        low, size = windows[:, :2], windows[:, 2:] - windows[:, :2]
        first, last = low + size * 0.5 / view, low + size * (1 - 0.5 / view)
        middles = (tf.concat([first, last], -1) * tf.tile(stored, [2]) - 0.5) / tf.tile(stored - 1, [2])
        return tf.image.crop_and_resize(
            pixels, middles, tf.range(tf.shape(pixels)[0]), self._size, extrapolation_value=_GREY
        )

    def _windows(self, dice: _Dice, corners: tf.Tensor, class_ids: tf.Tensor) -> tf.Tensor:
        """Windows float32 [N, 4] in the picture's coordinates: wider than it, inside it, or all of it."""
        options = self._options
        stretch = tf.exp(dice.between(-1, 1) * 0.5 * math.log(options.stretch))
        far = dice.between(1, options.farthest)
        size = tf.stack([far, far], -1)
        outside = _window(size, dice.between(0, 1, 2) * (1 - size))
        near = dice.between(options.closest, 1, _CANDIDATES)
        sizes = tf.minimum(tf.stack([near / stretch[:, None], near * stretch[:, None]], -1), 1.0)
        places = dice.between(0, 1, 2 * _CANDIDATES)
        inside = _window(sizes, tf.reshape(places, tf.shape(sizes)) * (1 - sizes))
        inside = self._first_good(inside, corners, class_ids)
        whole = tf.constant([0.0, 0.0, 1.0, 1.0])
        kind = dice.between(0, 1)[:, None]
        return tf.where(
            kind < options.zoom_out,
            outside,
            tf.where(kind < options.zoom_out + options.zoom_in, inside, whole),
        )

    def _first_good(self, windows: tf.Tensor, corners: tf.Tensor, class_ids: tf.Tensor) -> tf.Tensor:
        """Of windows [N, K, 4] the first that shows a box and cuts none in two; else all of the picture."""
        shared = boxes.intersection(windows[:, :, None], corners[:, None])  # [N, K, B]
        seen = tf.math.divide_no_nan(shared, boxes.area(corners)[:, None])
        wanted = (class_ids > 0)[:, None]
        whole = tf.reduce_any(wanted & (seen >= self._options.kept), -1)
        empty = ~tf.reduce_any(wanted, -1)
        cut = tf.reduce_any(wanted & (seen > 0.1) & (seen < self._options.kept), -1)
        good = (whole | empty) & ~cut
        first = tf.argmax(tf.cast(good, tf.int32), -1)
        taken = tf.gather(windows, first, batch_dims=1)
        return tf.where(tf.reduce_any(good, -1)[:, None], taken, tf.constant([0.0, 0.0, 1.0, 1.0]))

    def _seen(
        self, windows: tf.Tensor, mirrored: tf.Tensor, corners: tf.Tensor, class_ids: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The boxes in the windows' coordinates, clipped; those hardly seen are marked."""
        shared = boxes.intersection(windows[:, None], corners)
        seen = tf.math.divide_no_nan(shared, boxes.area(corners))
        origin, size = windows[:, None, :2], windows[:, None, 2:] - windows[:, None, :2]
        moved = (corners - tf.concat([origin, origin], -1)) / tf.concat([size, size], -1)
        ymin, xmin, ymax, xmax = tf.unstack(tf.clip_by_value(moved, 0.0, 1.0), axis=-1)
        left = tf.where(mirrored, 1 - xmax, xmin)
        right = tf.where(mirrored, 1 - xmin, xmax)
        hardly = tf.where(seen > 0, IGNORED, 0)
        ids = tf.where((class_ids > 0) & (seen < self._options.kept), hardly, class_ids)
        return tf.stack([ymin, left, ymax, right], -1), ids

    def _recolor(self, dice: _Dice, views: tf.Tensor) -> tf.Tensor:
        options = self._options
        grey = tf.image.rgb_to_grayscale(views)
        saturation = dice.between(1 - options.saturation, 1 + options.saturation)
        saturation = tf.where(dice.chance(options.grey), 0.0, saturation)
        views = grey + (views - grey) * saturation[:, None, None, None]
        contrast = dice.between(1 - options.contrast, 1 + options.contrast)
        views = _GREY + (views - _GREY) * contrast[:, None, None, None]
        views *= dice.between(1 - options.tint, 1 + options.tint, 3)[:, None, None]
        views += 255 * dice.between(-options.brightness, options.brightness)[:, None, None, None]
        return tf.clip_by_value(views, 0.0, 255.0)


class _Dice:
    """Independent stateless random numbers for a batch, one draw after another."""

    def __init__(self, seed: tf.Tensor, count: tf.Tensor) -> None:
        self._seed = seed
        self._count = count
        self._draws = 0

    def between(self, low: float, high: float, values: int = 0) -> tf.Tensor:
        """Uniform float32 [N], or [N, values]."""
        self._draws += 1
        seed = tf.random.fold_in(self._seed, self._draws)
        shape = [self._count, values] if values else [self._count]
        return tf.random.stateless_uniform(shape, seed, low, high)

    def chance(self, share: float) -> tf.Tensor:
        """bool [N], true with that chance."""
        return self.between(0, 1) < share


def _window(size: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    return tf.concat([place, place + size], -1)
