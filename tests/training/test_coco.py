"""COCO JSON as people have it, and what is said of bad files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.labelled import assert_same_boxes, edit_text, reasons_of, write_coco, write_named_coco

from sightline.errors import InputError
from sightline_training.annotations import read_dataset
from sightline_training.labels import LabelMap


def test_a_coco_category_that_is_only_a_heading_is_no_class(tmp_path: Path) -> None:
    expected = write_coco(tmp_path)
    tables = json.loads((tmp_path / "instances.json").read_text())
    for category in tables["categories"]:
        category["supercategory"] = "droids"
    unused = {"id": 95, "name": "C-3PO", "supercategory": "C-3PO"}
    tables["categories"] += [{"id": 0, "name": "droids", "supercategory": "none"}, unused]
    (tmp_path / "instances.json").write_text(json.dumps(tables))
    found = read_dataset(tmp_path)
    assert found.labels.names == ("BB-8", "R2-D2", "C-3PO")
    assert found.notes == (
        "the category 'droids' is a heading of others, without a box, and becomes no class",
    )
    assert read_dataset(tmp_path, expected.labels).notes == ()
    tables["annotations"][0]["category_id"] = 0
    (tmp_path / "instances.json").write_text(json.dumps(tables))
    assert read_dataset(tmp_path).labels.names == ("droids", "BB-8", "R2-D2", "C-3PO")


def test_a_coco_name_that_may_be_two_pictures_is_told(tmp_path: Path) -> None:
    names = write_named_coco(tmp_path / "set", "one/a.jpg", "two/a.jpg", "two/b.jpg", "[c].jpg")
    assert names == ["one-a", "two-a", "b", "[c]"]
    edit_text(
        tmp_path / "set" / "instances.json", ("one/a.jpg", "a.jpg"), ("two/b.jpg", "C:\\\\data\\\\b.jpg")
    )
    (tmp_path / "set" / "more").mkdir()
    (tmp_path / "set" / "[c].jpg").rename(tmp_path / "set" / "more" / "[c].jpg")
    found = read_dataset(tmp_path / "set", LabelMap(("BB-8",)))
    assert [example.path.name for example in found.examples] == ["a.jpg", "b.jpg", "[c].jpg"]
    assert [(item.name, item.reason) for item in found.left_out] == [
        ("a.jpg", "it may be one/a.jpg and two/a.jpg")
    ]


def test_a_picture_that_coco_lists_twice_is_left_out(tmp_path: Path) -> None:
    assert write_named_coco(tmp_path / "set", "a.jpg", "b.jpg") == ["a", "b"]
    edit_text(tmp_path / "set" / "instances.json", ("b.jpg", "c.jpg"), ("c.jpg", "a.jpg"))
    with pytest.raises(InputError, match=r"a\.jpg: 2 images of the file are this picture"):
        read_dataset(tmp_path / "set")


@pytest.mark.parametrize("table", ["images", "categories"])
def test_coco_ids_that_come_twice_are_refused(tmp_path: Path, table: str) -> None:
    write_coco(tmp_path)
    tables = json.loads((tmp_path / "instances.json").read_text())
    tables[table][1]["id"] = tables[table][0]["id"]
    (tmp_path / "instances.json").write_text(json.dumps(tables))
    with pytest.raises(InputError, match=f"2 of its {table} have the id"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("width", [None, 0, -5, "wide", float("inf")])
def test_a_coco_width_that_cannot_be_meant_is_the_pictures(tmp_path: Path, width: object) -> None:
    expected = write_coco(tmp_path)
    tables = json.loads((tmp_path / "instances.json").read_text())
    for image in tables["images"]:
        image["width"] = width
    (tmp_path / "instances.json").write_text(json.dumps(tables))
    assert_same_boxes(read_dataset(tmp_path), expected, pixels=0.01)


@pytest.mark.parametrize("bbox", ["null", "[1, 2, 3]", f"[1{400 * '0'}, 1, 1, 1]", '"box"', '[1, 2, "x", 4]'])
def test_coco_boxes_of_no_shape_are_named(tmp_path: Path, bbox: str) -> None:
    write_coco(tmp_path)
    tables = json.loads((tmp_path / "instances.json").read_text())
    tables["annotations"][0]["bbox"] = json.loads(bbox)
    tables["annotations"][-1]["image_id"] = 77
    tables["images"][1]["width"] = str(tables["images"][1]["width"])
    (tmp_path / "instances.json").write_text(json.dumps(tables))
    reasons = reasons_of(tmp_path)
    name = tables["images"][tables["annotations"][0]["image_id"]]["file_name"].removesuffix(".jpg")
    assert "not [x, y, width, height]" in reasons[name]
    assert reasons["1 box"] == "image_id 77 is that of no image"


def test_coco_categories_that_are_spellings_of_one_class_become_one(tmp_path: Path) -> None:
    write_coco(tmp_path)
    edit_text(tmp_path / "instances.json", ('"name": "BB-8"', '"name": "R2D2"'))
    assert read_dataset(tmp_path).labels.names == ("R2D2",)
