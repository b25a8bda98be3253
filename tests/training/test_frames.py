"""Boxes that were drawn on other pixels than the picture has now: before EXIF's turn, or before a resize."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.labelled import assert_same_boxes, drawn_examples, edit_text, with_boxes, write_coco, write_voc

from sightline.images import decode, encode_jpeg
from sightline_training.annotations import read_dataset
from sightline_training.annotations.voc import to_xml
from sightline_training.examples import Dataset, Example, LabelledBox
from sightline_training.inspection import inspect
from sightline_training.records import to_record

_TURNS = {  # EXIF orientation -> what makes upright pixels the stored ones
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, 1),
    7: lambda pixels: np.rot90(pixels, 2).transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels, -1),
}


def _exif(jpeg: bytes, orientation: int) -> bytes:
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0%c\0\0\0\0\0\0" % orientation
    return jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]


def _stored(upright: Dataset, orientation: int) -> Dataset:
    """Drawn pictures, stored as a camera held sideways does, and labelled by a tool that knows no EXIF."""
    stored = []
    for example in upright.examples:
        pixels = decode(example.read()).pixels
        turned = np.ascontiguousarray(_TURNS[orientation](pixels))
        # Where each box lies in the stored pixels is seen on a picture of it, turned as the pixels are.
        boxes = []
        for box in example.boxes:
            canvas = np.zeros((example.height, example.width, 1), np.uint8)
            edges = [round(box.ymin * example.height), round(box.ymax * example.height)]
            sides = [round(box.xmin * example.width), round(box.xmax * example.width)]
            canvas[edges[0] : edges[1], sides[0] : sides[1]] = 1
            left, top, width, height = cv2.boundingRect(np.ascontiguousarray(_TURNS[orientation](canvas)))
            high, wide = turned.shape[:2]
            place = (top / high, left / wide, (top + height) / high, (left + width) / wide)
            boxes.append(LabelledBox(box.label, *place))
        example.path.write_bytes(_exif(encode_jpeg(turned), orientation))
        size = {"width": turned.shape[1], "height": turned.shape[0]}
        stored.append(replace(example, boxes=tuple(boxes), **size))
    return replace(upright, examples=tuple(stored))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_drawn_before_an_exif_turn_are_turned_along(tmp_path: Path, orientation: int) -> None:
    meant = drawn_examples(tmp_path / "images", 4)
    stored = _stored(meant, orientation)
    (tmp_path / "annotations").mkdir()
    for example in stored.examples:
        (tmp_path / "annotations" / f"{example.name}.xml").write_text(to_xml(example))
    found = read_dataset(tmp_path)
    assert with_boxes(found)
    assert_same_boxes(found, meant, pixels=1.51)
    told = {item.name: item.reason for item in inspect(found).problems}
    assert all("before EXIF's turn, and are turned along" in reason for reason in told.values())
    assert sorted(told) == [e.name for e in stored.examples if e.width != e.height]


def test_boxes_drawn_on_the_upright_picture_stay(tmp_path: Path) -> None:
    meant = drawn_examples(tmp_path / "images", 4)
    _stored(meant, 6)
    (tmp_path / "annotations").mkdir()
    for example in meant.examples:
        (tmp_path / "annotations" / f"{example.name}.xml").write_text(to_xml(example))
    assert_same_boxes(read_dataset(tmp_path), meant, pixels=0.51)


def test_coco_boxes_drawn_before_an_exif_turn_are_turned_along(tmp_path: Path) -> None:
    meant = write_coco(tmp_path, 4)
    stored = _stored(meant, 8)
    tables = json.loads((tmp_path / "instances.json").read_text())
    boxes = [(example, box) for example in stored.examples for box in example.boxes]
    for image, example in zip(tables["images"], stored.examples, strict=True):
        image |= {"width": example.width, "height": example.height}
    for annotation, (example, box) in zip(tables["annotations"], boxes, strict=True):
        wide, high = (box.xmax - box.xmin) * example.width, (box.ymax - box.ymin) * example.height
        annotation["bbox"] = [box.xmin * example.width, box.ymin * example.height, wide, high]
    (tmp_path / "instances.json").write_text(json.dumps(tables))
    assert_same_boxes(read_dataset(tmp_path), meant, pixels=1.51)


def test_records_of_stored_pixels_are_turned_along(tmp_path: Path) -> None:
    """The Object Detection API's scripts divide by the XML's size and embed the file as it is."""
    import tensorflow as tf

    meant = drawn_examples(tmp_path / "images", 4)
    stored = _stored(meant, 6)
    with tf.io.TFRecordWriter(str(tmp_path / "data.record")) as writer:
        for example in stored.examples:
            record = tf.train.Example.FromString(to_record(example, stored.labels))
            record.features.feature["image/encoded"].bytes_list.value[:] = [example.read()]
            writer.write(record.SerializeToString())
    assert_same_boxes(read_dataset(tmp_path), meant, pixels=1.51)


def _shrink(example: Example) -> None:
    pixels = cv2.imread(str(example.path))
    cv2.imwrite(str(example.path), cv2.resize(pixels, None, fx=0.3, fy=0.3))


def test_boxes_of_a_picture_that_was_resized_are_scaled_along(tmp_path: Path) -> None:
    expected = write_voc(tmp_path)
    name = with_boxes(expected)[0]
    example = next(example for example in expected.examples if example.name == name)
    _shrink(example)
    found = next(item for item in read_dataset(tmp_path).examples if item.name == name)
    assert found.width < example.width
    np.testing.assert_allclose(found.corners(), example.corners(), atol=0.51 / min(found.width, found.height))


def test_a_size_that_the_boxes_contradict_is_not_taken(tmp_path: Path) -> None:
    expected = write_voc(tmp_path)
    name = with_boxes(expected)[0]
    example = next(example for example in expected.examples if example.name == name)
    edit_text(
        tmp_path / "annotations" / f"{name}.xml",
        (f"<width>{example.width}<", f"<width>{example.width // 20}<"),
        (f"<height>{example.height}<", f"<height>{example.height // 20}<"),
    )
    found = next(item for item in read_dataset(tmp_path).examples if item.name == name)
    np.testing.assert_allclose(found.corners(), example.corners(), atol=0.51 / min(found.width, found.height))
