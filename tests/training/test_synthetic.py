"""Drawn droids: reproducible, exact, whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline.errors import InputError
from sightline_training.annotations import read_dataset
from sightline_training.synthetic import BB8, R2D2, SyntheticOptions, draw_dataset, draw_picture
from sightline_training.synthetic.sprites import draw_sprite


def test_a_picture_is_the_same_for_its_seed_and_index() -> None:
    pixels, droids = draw_picture(4, 2)
    again, same = draw_picture(4, 2)
    np.testing.assert_array_equal(pixels, again)
    assert droids == same
    assert draw_picture(5, 2)[0].shape != pixels.shape or (draw_picture(5, 2)[0] != pixels).any()


def test_boxes_lie_within_and_counts_vary() -> None:
    counts, labels = set(), set()
    for index in range(40):
        pixels, droids = draw_picture(1, index)
        height, width = pixels.shape[:2]
        counts.add(len(droids))
        for droid in droids:
            labels.add(droid.label)
            assert 0 <= droid.xmin < droid.xmax <= width
            assert 0 <= droid.ymin < droid.ymax <= height
    assert counts >= {0, 1, 2}
    assert labels == {BB8, R2D2}


@pytest.mark.parametrize("label", [BB8, R2D2])
def test_a_sprite_fills_part_of_its_canvas_and_touches_no_edge(label: str) -> None:
    for seed in range(8):
        alpha = draw_sprite(label, np.random.default_rng(seed))[..., 3]
        assert 0.15 < (alpha > 127).mean() < 0.7
        assert not alpha[[0, -1]].any()
        assert not alpha[:, [0, -1]].any()


def test_a_data_set_is_drawn_once_and_recognised(tmp_path: Path) -> None:
    options = SyntheticOptions(6, seed=9)
    assert draw_dataset(tmp_path / "set", options)
    assert not draw_dataset(tmp_path / "set", options)
    dataset = read_dataset(tmp_path / "set")
    assert len(dataset.examples) == 6
    assert dataset.left_out == ()
    for index, example in enumerate(dataset.examples):
        pixels, droids = draw_picture(9, index)
        assert (example.height, example.width) == pixels.shape[:2]
        drawn = [(d.ymin, d.xmin, d.ymax, d.xmax) for d in droids]
        scale = [example.height, example.width] * 2
        np.testing.assert_allclose(example.corners() * scale, np.reshape(drawn, (-1, 4)), atol=0.01)


def test_other_pictures_are_not_overwritten(tmp_path: Path) -> None:
    draw_dataset(tmp_path / "set", SyntheticOptions(2, seed=1))
    with pytest.raises(InputError, match="something else"):
        draw_dataset(tmp_path / "set", SyntheticOptions(2, seed=2))


def test_an_interrupted_drawing_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_dataset(tmp_path / "set", SyntheticOptions(4), progress=interrupt)
    assert list(tmp_path.iterdir()) == []
