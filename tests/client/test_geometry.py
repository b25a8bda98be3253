from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.geometry import Fit, Stretch, resize_from_json, resize_to_json

SIDES = st.integers(1, 4000)


def test_stretch_gives_the_model_its_size() -> None:
    picture = np.zeros((7, 11, 3), np.uint8)
    assert Stretch(300, 200).apply(picture).shape == (300, 200, 3)


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    picture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    assert Stretch(4, 5).apply(picture) is picture


def test_bilinear_with_half_pixel_centres_as_tensorflow_resizes() -> None:
    import tensorflow as tf

    picture = np.random.default_rng(0).integers(0, 256, (120, 90, 3), np.uint8)
    ours = Stretch(77, 61).apply(picture).astype(np.float32)
    theirs = tf.image.resize(picture, (77, 61)).numpy()
    assert np.abs(ours - theirs).max() <= 1.0  # OpenCV rounds to whole levels


@given(st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4), SIDES, SIDES)
def test_pixels_and_back(box: list[float], height: int, width: int) -> None:
    boxes = np.array([box], np.float32)
    back = Stretch.to_normalized(Stretch.to_pixels(boxes, height, width), height, width)
    np.testing.assert_allclose(back, boxes, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("rule", [Stretch(300, 320), Fit(1024)])
def test_a_rule_goes_to_another_process_and_is_the_same_there(rule: Stretch | Fit) -> None:
    assert resize_from_json(json.loads(json.dumps(resize_to_json(rule)))) == rule
