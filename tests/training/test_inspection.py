"""What `inspect` tells of a data set, and splits that keep near-duplicates together."""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path

import cv2
import pytest
from support.labelled import write_voc

from sightline.errors import InputError
from sightline_training.annotations import read_dataset
from sightline_training.duplicates import near_groups
from sightline_training.inspection import inspect
from sightline_training.inspection_page import write_page
from sightline_training.splits import cut, fold_of, groups_cut


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """Drawn droids with one of each fault that `inspect` should tell."""
    folder = tmp_path / "data"
    write_voc(folder, 8)
    images, annotations = folder / "images", folder / "annotations"
    for path in sorted(annotations.glob("*.xml"))[:6]:
        path.write_text(path.read_text().replace("R2-D2", "r2d2"))  # another spelling
    first = cv2.imread(str(images / "p3.jpg"))  # a near-duplicate, smaller, without a label
    cv2.imwrite(str(images / "twin.jpg"), cv2.resize(first, None, fx=0.6, fy=0.6))
    kept = (annotations / "p3.xml").read_text()
    (annotations / "twin.xml").write_text(kept[: kept.index("<object>")] + "</annotation>")
    cv2.imwrite(str(images / "p1.png"), cv2.imread(str(images / "p1.jpg")))
    shutil.move(images / "p1.png", images / "p1.jpg")  # a PNG under another name
    outside = (
        "<object><name>BB-8</name><bndbox><xmin>9000</xmin><ymin>1</ymin><xmax>9100</xmax><ymax>9</ymax>"
    )
    broken = (annotations / "p2.xml").read_text()
    (annotations / "p2.xml").write_text(
        broken.replace("</annotation>", f"{outside}</bndbox></object></annotation>")
    )
    return folder


def test_each_fault_is_told(faulty: Path) -> None:
    found = inspect(read_dataset(faulty))
    assert found.aliases == {"r2d2": "R2-D2"}
    assert ("p3", "twin") in found.groups
    reasons = {(item.name, item.reason.split(",")[0]) for item in found.problems}
    assert ("p1", "it is named .jpg and is a PNG") in reasons
    assert any(name == "twin" and "may miss" in reason for name, reason in reasons)
    assert any(name == "twin" and "its annotation says" in reason for name, reason in reasons)
    assert [(item.name, "outside the picture" in item.reason) for item in found.left_out] == [("p2", True)]
    assert sum(found.boxes_of.values()) == sum(len(e.boxes) for e in found.dataset.examples)


def test_boxes_drawn_before_an_exif_turn_are_told(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path, 2)
    path = dataset.examples[0].path
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    plain = path.read_bytes()
    path.write_bytes(plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:])
    told = [item.reason for item in inspect(read_dataset(tmp_path)).problems if item.name == "p0"]
    assert any("before the turn" in reason for reason in told), told


def test_a_set_torn_from_another_is_told(faulty: Path, tmp_path: Path) -> None:
    dataset = read_dataset(faulty)
    learnt, asked = dataset.subset(["p3", "p4"]), dataset.subset(["twin", "p5"])
    assert inspect(learnt, against=asked).torn == (("p3", "twin"),)


def test_the_page_holds_pictures_and_plots(faulty: Path, tmp_path: Path) -> None:
    page = write_page(tmp_path / "page", inspect(read_dataset(faulty)))
    text = page.read_text()
    assert "Near-duplicates 1" in text
    assert "lies outside the picture" in text
    assert cv2.imread(str(page.parent / "pictures" / "twin.jpg")) is not None
    assert cv2.imread(str(page.parent / "sizes.png")) is not None
    with pytest.raises(InputError, match="there already"):
        write_page(tmp_path / "page", inspect(read_dataset(faulty)))


def test_splits_never_part_near_duplicates(faulty: Path) -> None:
    dataset = read_dataset(faulty)
    groups = near_groups(dataset.examples)
    parts = cut(dataset, 3)
    assert sorted(chain.from_iterable(parts)) == list(range(len(dataset.examples)))
    assert all(groups_cut(groups, set(part)) == [] for part in parts)
    twins = {index for index, example in enumerate(dataset.examples) if example.name in {"p3", "twin"}}
    assert groups_cut(groups, {min(twins)}) != []  # the check itself can fail
    split = fold_of(dataset, 0, folds=3)
    assert len(split.training.examples) + len(split.held_out.examples) == len(dataset.examples)
    with pytest.raises(InputError, match="too few"):
        cut(dataset, 20)
