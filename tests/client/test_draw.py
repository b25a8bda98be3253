from __future__ import annotations

import numpy as np

from sightline.detections import Detection, ImageSize
from sightline.draw import color_of, draw


def test_boxes_are_drawn_on_a_copy_where_they_are() -> None:
    picture = np.full((200, 300, 3), 255, np.uint8)
    found = Detection.make("BB-8", 1, 0.9, (0.5, 0.5, 0.9, 0.9), ImageSize(3000, 2000))
    drawn = draw(picture, [found])
    assert (picture == 255).all()
    assert drawn.shape == picture.shape
    np.testing.assert_allclose(drawn[140, 150], color_of(1), atol=40)  # the left edge
    assert (drawn[125:175, 170:250] == 255).all()  # the inside
    assert (drawn[80:99, 150:160] != 255).any()  # the tag above
    assert (drawn[:70] == 255).all()


def test_boxes_at_the_rim_do_not_fail() -> None:
    picture = np.zeros((20, 30, 3), np.uint8)
    found = Detection.make("a long label", 3, 0.9, (0.0, 0.9, 1.0, 1.0), ImageSize(30, 20))
    assert draw(picture, [found]).any()


def test_classes_have_colours_of_their_own() -> None:
    assert len({color_of(class_id) for class_id in range(1, 30)}) == 29
