"""VOC XML as people have it, and what is said of bad files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from support.labelled import assert_same_boxes, edit_text, reasons_of, with_boxes, write_voc

from sightline_training.annotations import read_dataset


def test_halves_of_a_pair_are_left_out_and_listed(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path, 4)
    dataset.examples[0].path.unlink()
    (tmp_path / "annotations" / "p1.xml").unlink()
    dataset.examples[2].path.write_bytes(b"no picture")
    found = read_dataset(tmp_path)
    assert [example.name for example in found.examples] == ["p3"]
    reasons = {item.name: item.reason for item in found.left_out}
    assert "no annotation" in reasons["p1.jpg"]
    assert "no picture" in reasons["p0.xml"]
    assert "cannot be read" in reasons["p2"]


@pytest.mark.parametrize("edge", ["xmin", "ymin", "xmax", "ymax"])
def test_no_finite_number_hides_in_a_corner(tmp_path: Path, edge: str) -> None:
    name = with_boxes(write_voc(tmp_path))[0]
    path = tmp_path / "annotations" / f"{name}.xml"
    path.write_text(re.sub(f"<{edge}>.*<", f"<{edge}>nan<", path.read_text()))
    assert "has a corner that is no finite number" in reasons_of(tmp_path)[name]


def test_a_box_drawn_backwards_means_the_same(tmp_path: Path) -> None:
    expected = write_voc(tmp_path)
    path = tmp_path / "annotations" / f"{with_boxes(expected)[0]}.xml"
    text = path.read_text()
    path.write_text(text.replace("xmin", "x?").replace("xmax", "xmin").replace("x?", "xmax"))
    assert read_dataset(tmp_path).left_out == ()
    assert_same_boxes(read_dataset(tmp_path), expected, pixels=0.51)


def test_an_annotation_goes_to_the_picture_that_it_names(tmp_path: Path) -> None:
    expected = write_voc(tmp_path)
    images = tmp_path / "images"
    (images / "p1.bmp").write_bytes((images / "p1.jpg").read_bytes())
    (images / "p2.bmp").write_bytes((images / "p2.jpg").read_bytes())
    edit_text(tmp_path / "annotations" / "p2.xml", ("p2.jpg", "other.jpg"))
    (tmp_path / "annotations" / "p3.xml").rename(tmp_path / "annotations" / "p3.XML")
    (images / "p4.jpg").rename(images / "p4.heic")
    found = read_dataset(tmp_path)
    reasons = {item.name: item.reason for item in found.left_out}
    assert [example.path.name for example in found.examples] == ["p0.jpg", "p1.jpg", "p3.jpg", "p5.jpg"]
    assert reasons["p1.bmp"] == "it has no annotation"
    assert reasons["p2.xml"] == "it may be of p2.bmp and p2.jpg; its <filename> names neither"
    assert "p4.heic is of a kind that is not taken; .bmp, .jpeg, .jpg" in reasons["p4.xml"]
    assert len(expected.examples) == 6


def test_a_second_annotation_of_a_picture_is_told(tmp_path: Path) -> None:
    annotations = write_voc(tmp_path).examples[0].path.parent.parent / "annotations"
    shutil.copy(annotations / "p0.xml", annotations / "p0.XML")
    if len(list(annotations.iterdir())) == 6:
        pytest.skip("this disk knows no case")
    found = read_dataset(tmp_path)
    assert len(found.examples) == 6
    assert [item.reason for item in found.left_out] == ["its picture has another annotation"]


def test_annotations_that_cannot_be_read_are_listed_one_by_one(tmp_path: Path) -> None:
    write_voc(tmp_path)
    (tmp_path / "annotations" / "p0.xml").write_bytes(b"")
    path = tmp_path / "annotations" / "p1.xml"
    path.write_text(path.read_text()[:-30])
    (tmp_path / "annotations" / "p2.xml").write_text('<?xml version="1.0" encoding="x"?><annotation/>')
    path = tmp_path / "annotations" / "p3.xml"
    path.write_text(re.sub("<xmin>.*<", "<xmin>12,5<", path.read_text()))
    reasons = reasons_of(tmp_path)
    assert reasons.keys() == {"p0", "p1", "p2", "p3"}
    assert all("is no VOC annotation" in reason for reason in reasons.values())
    assert "the xmin of an object" in reasons["p3"]
    assert "is '12,5', no number" in reasons["p3"]
