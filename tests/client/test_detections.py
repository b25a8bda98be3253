from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from sightline.detections import Detection, ImageSize, ModelVersion, Result

SIZE = ImageSize(1280, 720)
FOUND = Detection.make(
    "R2-D2", 2, np.float32(0.97), np.array([0.0558, 0.0789, 0.7111, 0.2503], np.float32), SIZE
)
RESULT = Result("req-1", ModelVersion("droids", 3), SIZE, (FOUND,), {"total": 25.2})


def test_the_json_is_that_of_the_http_api() -> None:
    assert json.loads(RESULT.to_json()) == {
        "id": "req-1",
        "model": {"name": "droids", "version": 3},
        "image": {"width": 1280, "height": 720},
        "detections": [
            {
                "label": "R2-D2",
                "class_id": 2,
                "score": 0.97,
                "box": {"xmin": 100.99, "ymin": 40.18, "xmax": 320.38, "ymax": 511.99},
                "box_normalized": [0.0558, 0.0789, 0.7111, 0.2503],
            }
        ],
        "timing_ms": {"total": 25.2},
    }


def test_json_and_back_is_exact() -> None:
    assert Result.from_dict(json.loads(RESULT.to_json())) == RESULT


@pytest.mark.parametrize(
    "plain", [{}, {**RESULT.to_dict(), "detections": [{}]}, {**RESULT.to_dict(), "model": 3}]
)
def test_what_is_no_result_is_named(plain: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a detection result"):
        Result.from_dict(plain)


def test_coco_boxes_are_corner_and_size() -> None:
    (item,) = RESULT.to_coco(image_id=7)
    assert item == {
        "image_id": 7,
        "category_id": 2,
        "category_name": "R2-D2",
        "bbox": [100.99, 40.18, 219.39, 471.81],
        "score": 0.97,
    }


def test_tfod_is_the_object_detection_apis_dictionary() -> None:
    assert RESULT.to_tfod() == {
        "detection_boxes": [[0.0558, 0.0789, 0.7111, 0.2503]],
        "detection_scores": [0.97],
        "detection_classes": [2],
        "num_detections": 1,
    }


def test_voc_is_what_labelimg_reads() -> None:
    root = ET.fromstring(RESULT.to_voc("a & b.jpg", folder="images"))
    assert root.findtext("filename") == "a & b.jpg"
    assert [root.findtext(f"size/{side}") for side in ("width", "height", "depth")] == ["1280", "720", "3"]
    assert root.findtext("object/name") == "R2-D2"
    corners = [root.findtext(f"object/bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    assert corners == ["101", "40", "320", "512"]


def test_voc_corners_stay_inside_the_picture() -> None:
    edge = Detection.make("BB-8", 1, 0.5, (0.0, 0.0, 1.0, 1.0), SIZE)
    strange = ET.fromstring(RESULT.to_voc("a\x1b[31m\udcff.jpg"))  # as no XML may hold it
    assert strange.findtext("filename") == "a?[31m?.jpg"
    root = ET.fromstring(Result("x", ModelVersion("m", 1), SIZE, (edge,)).to_voc("a.jpg"))
    corners = [root.findtext(f"object/bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    assert corners == ["1", "1", "1280", "720"]
