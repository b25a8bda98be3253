"""YOLO text as people have it, and what is said of bad files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.labelled import assert_same_boxes, reasons_of, write_yolo

from sightline.errors import InputError
from sightline_training.annotations import read_dataset


@pytest.mark.parametrize(
    "line", ["0 nan 0.1 0.2 0.3 0.4 0.5", "0 0.1 0.1 0.2 0.3 0.4 nan", "0 0.5 0.5 inf 0.1"]
)
def test_no_finite_number_hides_in_a_shape(tmp_path: Path, line: str) -> None:
    write_yolo(tmp_path)
    (tmp_path / "labels" / "train" / "p0.txt").write_text(line)
    assert reasons_of(tmp_path) == {"p0": "a box of 'BB-8' has a corner that is no finite number"}


def test_yolo_polygons_are_taken_by_what_they_fill(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    path = tmp_path / "labels" / "train" / "p0.txt"
    path.write_text("0 0.16 0.03 0.72 0.03 0.72 1.0 0.16 1.0\n1 0.5 0.5 0.2 0.2 0.9\n")
    corners = read_dataset(tmp_path).examples[0].corners()
    np.testing.assert_allclose(corners, [[0.03, 0.16, 1.0, 0.72], [0.4, 0.4, 0.6, 0.6]], atol=1e-6)
    path.write_text("0 0.1 0.2 0.3 0.4 0.5 0.6 0.7\n")
    assert "line 1: '0 0.1 0.2 0.3 0.4 0.5 0.6 0.7' is not" in reasons_of(tmp_path)["p0"]
    path.write_text("0" + " 0.1234567" * 1001)
    assert len(reasons_of(tmp_path)["p0"]) < len(str(path)) + 150


def test_yolo_parts_may_lie_around_images_and_labels(tmp_path: Path) -> None:
    expected = write_yolo(tmp_path / "flat")
    for kind in ("images", "labels"):
        shutil.copytree(tmp_path / "flat" / kind / "train", tmp_path / "set" / "train" / kind)
    shutil.copy(tmp_path / "flat" / "data.yaml", tmp_path / "set")
    assert_same_boxes(read_dataset(tmp_path / "set"), expected, pixels=0.01)


def test_yolo_labels_without_a_picture_are_told(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    images = tmp_path / "images" / "train"
    (images / "p0.jpg").rename(images / "p0.heic")
    (images / "p1.jpg").unlink()
    (tmp_path / "labels" / "classes.txt").write_text("BB-8\nR2-D2\n")
    (tmp_path / "README.txt").write_text("no labels")
    reasons = reasons_of(tmp_path)
    assert reasons.keys() == {"p0.txt", "p1.txt"}
    assert reasons["p0.txt"].startswith("its picture p0.heic is of a kind that is not taken; .bmp, .jpeg")
    assert reasons["p1.txt"] == f"there is no picture for it in {images}"


@pytest.mark.parametrize("part", ["train2017", "Training"])
def test_parts_by_longer_names_are_told(tmp_path: Path, part: str) -> None:
    write_yolo(tmp_path)
    for kind in ("images", "labels"):
        shutil.copytree(tmp_path / kind / "train", tmp_path / kind / "val2017")
        (tmp_path / kind / "train").rename(tmp_path / kind / part)
    assert read_dataset(tmp_path).notes[0].startswith(f"{part} (6), val2017 (6) are read as one set")


def test_names_stay_as_they_are_written(tmp_path: Path) -> None:
    """YAML itself takes `no` for False, 1.0 for a number and 010 for eight."""
    write_yolo(tmp_path)
    (tmp_path / "data.yaml").write_text("nc: 5\nnames: [no, 1.0, 010, null, '~x']\n")
    assert read_dataset(tmp_path).labels.names == ("no", "1.0", "010", "null", "~x")
    (tmp_path / "data.yaml").write_text("names:\n  1: on\n  0: off\n")
    assert read_dataset(tmp_path).labels.names == ("off", "on")


def test_a_blank_line_among_names_is_told(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text("BB-8\nR2-D2\n\n")
    assert read_dataset(tmp_path).labels.names == ("BB-8", "R2-D2")
    (tmp_path / "classes.txt").write_text("BB-8\n\nR2-D2\n")
    with pytest.raises(InputError, match=r"classes\.txt, line 2 is blank"):
        read_dataset(tmp_path)


def test_a_class_may_be_written_as_a_fraction_of_nothing(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    path = tmp_path / "labels" / "train" / "p0.txt"
    path.write_text("1.0 0.5 0.5 0.2 0.2\n")
    assert [box.label for box in read_dataset(tmp_path).examples[0].boxes] == ["R2-D2"]
    for wrong in ("0.5", "nan", "inf", "-1", "R2-D2"):
        path.write_text(f"{wrong} 0.5 0.5 0.2 0.2\n")
        assert reasons_of(tmp_path).keys() == {"p0"}, wrong
