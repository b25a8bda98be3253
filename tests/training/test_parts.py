"""Data sets that come in parts: one folder or one file for what is to be learnt from, one for the rest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.labelled import drawn_examples, write_coco, write_voc

from sightline.errors import InputError
from sightline_training.annotations import read_dataset
from sightline_training.annotations.voc import to_xml

_NOTE = "are read as one set, which `fit` splits anew; read them one by one to keep them apart"


@pytest.mark.parametrize("asked", [".", "images"])
def test_pictures_and_xml_below_train_and_test_are_one_set(tmp_path: Path, asked: str) -> None:
    """The layout of the Object Detection API's tutorials."""
    for part, count in (("train", 4), ("test", 2)):
        for example in drawn_examples(tmp_path / "images" / part, count).examples:
            example.path.with_suffix(".xml").write_text(to_xml(example))
    found = read_dataset(tmp_path / asked)
    assert [e.name for e in found.examples] == ["test-p0", "test-p1", "train-p0", "train-p1", "p2", "p3"]
    assert found.notes == (f"test (2), train (4) {_NOTE}",)
    assert found.labels.names == ("BB-8", "R2-D2")
    alone = read_dataset(tmp_path / "images" / "train")
    assert (len(alone.examples), alone.notes) == (4, ())


def test_a_coco_file_for_each_part_is_one_set(tmp_path: Path) -> None:
    """COCO's own layout: both files in annotations/, the pictures in train2017/ and val2017/."""
    for part in ("train2017", "val2017"):
        write_coco(tmp_path / "one", 3)
        for example in sorted((tmp_path / "one" / "images").iterdir()):
            (tmp_path / "set" / part).mkdir(parents=True, exist_ok=True)
            shutil.copy(example, tmp_path / "set" / part / f"{part}-{example.name}")
        tables = json.loads((tmp_path / "one" / "instances.json").read_text())
        for image in tables["images"]:
            image["file_name"] = f"{part}-{image['file_name']}"
        (tmp_path / "set" / "annotations").mkdir(exist_ok=True)
        (tmp_path / "set" / "annotations" / f"instances_{part}.json").write_text(json.dumps(tables))
        shutil.rmtree(tmp_path / "one")
    found = read_dataset(tmp_path / "set")
    assert len(found.examples) == 6
    assert found.notes == (f"instances_train2017 (3), instances_val2017 (3) {_NOTE}",)
    keypoints = tmp_path / "set" / "annotations" / "person_keypoints_train2017.json"
    shutil.copy(tmp_path / "set" / "annotations" / "instances_train2017.json", keypoints)
    with pytest.raises(InputError, match="several COCO files"):
        read_dataset(tmp_path / "set")


def test_parts_with_a_coco_file_each_are_one_set(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        write_coco(tmp_path / part, 3)
    found = read_dataset(tmp_path)
    assert len(found.examples) == 6
    assert found.labels.names == ("BB-8", "R2-D2")
    assert found.notes == (f"train (3), valid (3) {_NOTE}",)


def test_parts_agree_on_their_label_map(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_voc(tmp_path / part, 3)
    assert read_dataset(tmp_path).labels.names == ("BB-8", "R2-D2")
    (tmp_path / "test" / "label_map.pbtxt").write_text(
        "item { id: 1 name: 'R2-D2' } item { id: 2 name: 'BB-8' }"
    )
    with pytest.raises(InputError, match=r"other classes: .*test/label_map.pbtxt has R2-D2, BB-8"):
        read_dataset(tmp_path)


def test_a_folder_around_data_sets_is_told_from_one(tmp_path: Path) -> None:
    write_voc(tmp_path / "droids", 2)
    (tmp_path / "labels.csv").write_text("filename,class\n")
    with pytest.raises(
        InputError, match=r"found below it: 2 \.jpg, 2 \.xml, 1 \.csv, 1 \.pbtxt; .*/droids can be read"
    ):
        read_dataset(tmp_path)


def test_a_coco_name_is_found_wherever_its_picture_lies(tmp_path: Path) -> None:
    write_coco(tmp_path, 3)
    (tmp_path / "images" / "train" / "new").mkdir(parents=True)
    shutil.move(tmp_path / "images" / "p0.jpg", tmp_path / "images" / "train" / "new")
    shutil.move(tmp_path / "images" / "p1.jpg", tmp_path)
    tables = json.loads((tmp_path / "instances.json").read_text())
    tables["images"][1]["file_name"] = "C:\\Users\\me\\p1.jpg"
    tables["images"][2]["file_name"] = "images\\p2.jpg"
    (tmp_path / "instances.json").write_text(json.dumps(tables))
    found = read_dataset(tmp_path)
    assert [example.name for example in found.examples] == ["p0", "p1", "p2"]
    assert found.left_out == ()
