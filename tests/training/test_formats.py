"""Labelled pictures in every format, and what is said of bad ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from support.labelled import (
    assert_same_boxes,
    drawn_examples,
    reasons_of,
    with_boxes,
    write_coco,
    write_named_coco,
    write_voc,
    write_yolo,
)

from sightline.errors import InputError
from sightline_training.annotations import read_dataset, voc
from sightline_training.examples import Dataset
from sightline_training.labels import LabelMap, from_pbtxt, to_pbtxt
from sightline_training.records import write_files


@pytest.mark.parametrize(("write", "pixels"), [(write_voc, 0.51), (write_coco, 0.01), (write_yolo, 0.01)])
def test_a_format_is_recognised_and_read(
    tmp_path: Path, write: Callable[[Path], Dataset], pixels: float
) -> None:
    expected = write(tmp_path)
    found = read_dataset(tmp_path)
    assert found.labels.names == ("BB-8", "R2-D2")
    assert found.left_out == ()
    assert_same_boxes(found, expected, pixels=pixels)


def _label_map_message() -> type[Any]:
    """The Object Detection API's StringIntLabelMap, as far as it is used."""
    file = descriptor_pb2.FileDescriptorProto(name="label_map_for_a_test.proto", package="of_a_test")
    item, items = (file.message_type.add(name=name) for name in ("Item", "LabelMap"))
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, number, kind in (("name", 1, kinds.TYPE_STRING), ("id", 2, kinds.TYPE_INT32)):
        item.field.add(name=name, number=number, type=kind, label=kinds.LABEL_OPTIONAL)
    repeated = kinds.LABEL_REPEATED
    items.field.add(
        name="item", number=1, type=kinds.TYPE_MESSAGE, type_name=".of_a_test.Item", label=repeated
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: type[Any] = message_factory.GetMessageClass(pool.FindMessageTypeByName("of_a_test.LabelMap"))
    return found


def test_label_maps_survive_their_file() -> None:
    names = ("BB-8", "C-3PO's", "5'6\" tall", '"R5"', "a\\b", "two\nlines", "Füße 犬")
    labels = LabelMap(names)
    assert from_pbtxt(to_pbtxt(labels)) == labels
    parsed = text_format.Parse(to_pbtxt(labels), _label_map_message()())
    assert [(item.id, item.name) for item in parsed.item] == list(enumerate(names, 1))
    assert from_pbtxt(text_format.MessageToString(parsed)) == labels  # as protobuf writes it
    assert from_pbtxt('item { name: "n0"\n id: 1 display_name: "person" }').names == ("person",)


def test_ids_that_leave_gaps_are_closed_up() -> None:
    """As in the API's own mscoco_label_map.pbtxt, which ends with 90 and has 80 classes."""
    text = "".join(f"item {{ name: '/m/{i}' id: {i} display_name: 'class {i}' }}" for i in (13, 2, 11))
    labels = from_pbtxt("item { id: 0 name: 'background' }" + text)
    assert labels.by_id == {1: "class 2", 2: "class 11", 3: "class 13"}
    assert labels.by_number == {2: "class 2", 11: "class 11", 13: "class 13"}
    assert labels.also["/m/11"] == "class 11"
    whole = from_pbtxt("item { id: 1 name: 'x' }")
    assert whole.by_number == whole.by_id
    with pytest.raises(InputError, match="count from 1; 0 is 'x'"):
        from_pbtxt("item { id: 0 name: 'x' } item { id: 1 name: 'y' }")
    with pytest.raises(InputError, match="at least one class"):
        from_pbtxt("item { id: 0 name: 'background' }")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        read_dataset(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        read_dataset(tmp_path / "missing")


def test_a_class_that_the_label_map_lacks_is_named(tmp_path: Path) -> None:
    write_voc(tmp_path)
    with pytest.raises(InputError, match=r"lacks; it has BB-8$"):
        read_dataset(tmp_path, LabelMap(("BB-8",)))


def test_spellings_of_one_class_become_one(tmp_path: Path) -> None:
    write_voc(tmp_path)
    for number, spelling in enumerate(("r2d2", "r2-d2", "R2 D2")):
        path = tmp_path / "annotations" / f"p{number}.xml"
        path.write_text(path.read_text().replace("R2-D2", spelling).replace("BB-8", "bb8"))
    (tmp_path / "label_map.pbtxt").unlink()
    assert len(read_dataset(tmp_path).labels) == 2


def test_a_picture_whose_box_cannot_be_meant_is_no_background(tmp_path: Path) -> None:
    expected = write_yolo(tmp_path)
    first, second, *_ = with_boxes(expected)
    labels = tmp_path / "labels" / "train"
    (labels / f"{first}.txt").write_text("0 nan 0.5 0.1 0.1\n")
    (labels / f"{second}.txt").write_text("0 320 240 50 60\n")
    reasons = reasons_of(tmp_path)
    assert reasons == {
        first: "a box of 'BB-8' has a corner that is no finite number",
        second: "a box of 'BB-8' lies outside the picture",
    }
    assert {first, second}.isdisjoint(example.name for example in read_dataset(tmp_path).examples)


def test_a_slip_of_the_mouse_is_left_out_alone(tmp_path: Path) -> None:
    name = with_boxes(write_yolo(tmp_path))[0]
    with (tmp_path / "labels" / "train" / f"{name}.txt").open("a") as file:
        file.write("\n0 0.5 0.5 0.0 0.0\n")
    assert reasons_of(tmp_path) == {name: "a box of 'BB-8' is thinner than a thousandth of the picture"}
    assert name in [example.name for example in read_dataset(tmp_path).examples]


def test_pictures_of_one_name_are_told_apart(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    for kind in ("images", "labels"):
        shutil.copytree(tmp_path / kind / "train", tmp_path / kind / "val")
    found = read_dataset(tmp_path)
    names = [example.name for example in found.examples]
    assert names == [f"{part}-p{number}" for part in ("train", "val") for number in range(6)]
    assert found.notes == (
        "train (6), val (6) are read as one set, which `fit` splits anew; "
        "read them one by one to keep them apart",
    )
    write_files(tmp_path / "records", replace(found, examples=(found.examples[0],) * 2))
    again = read_dataset(tmp_path / "records")
    assert len({example.name for example in again.examples}) == 2


@pytest.mark.parametrize(
    ("pictures", "names"),
    [
        (["train/images/a.jpg", "valid/images/a.jpg"], ["train-images-a", "valid-images-a"]),
        (["a.jpg", "more/a.jpg"], ["a", "more-a"]),  # not by the data folder's own name, which may change
        (["a.jpg", "a.jpeg", "a-2.jpg"], ["a", "a-3", "a-2"]),  # another picture has the number's name
        (["x/a.jpg", "x/b.jpg"], ["a", "b"]),
    ],
)
def test_a_name_is_had_by_one_picture(tmp_path: Path, pictures: list[str], names: list[str]) -> None:
    assert write_named_coco(tmp_path / "set", *pictures) == names


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("instances.json", b'{"images": [', r"instances\.json is no JSON, or is cut short"),
        ("instances.json", '{"name": "Jürgen"}'.encode("latin-1"), r"is no UTF-8 text"),
        (
            "instances.json",
            b'{"images": [{}], "annotations": [], "categories": []}',
            r"an entry lacks its 'id'",
        ),
        (
            "instances.json",
            b'{"images": [], "annotations": [], "categories": [{"id": Infinity, "name": "a"}]}',
            r"instances\.json is no COCO annotation file: OverflowError",
        ),
        (
            "label_map.pbtxt",
            b"item { id: 1 name: 'a' } item { id: 1 name: 'b' }",
            r"two labels have the id 1$",
        ),
        ("label_map.pbtxt", b"\xfc", r"^[^:]*label_map\.pbtxt is no UTF-8 text"),
        ("data.yaml", b"", r"data\.yaml lists no classes under `names`, such as"),
        ("data.yaml", b"names: dog", r"data\.yaml lists no classes under `names`"),
        ("data.yaml", b"names: {}", r"data\.yaml lists no classes under `names`"),
        ("data.yaml", b"names: {1: a, 2: b}", r"are numbered from 0 without a gap, not \[1, 2\]"),
        ("data.yaml", b"names: [a\nnc: 1", r"data\.yaml is no YAML: while parsing a flow sequence"),
        ("classes.txt", "Müll\n".encode("latin-1"), r"classes\.txt is no UTF-8 text \(byte 1\)"),
        ("label_map.pbtxt", b"item { id: 1 }", r"label_map\.pbtxt: an item of the label map has no id"),
        ("labels.csv", b"p0.jpg,1,2,3,4\n", r"no labels in a layout that is known here; taken are TFRecord"),
    ],
)
def test_a_file_at_fault_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    drawn_examples(tmp_path, 2)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_dataset(tmp_path)


def test_pictures_without_any_box_are_nothing_to_learn_from(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path)
    (tmp_path / "label_map.pbtxt").unlink()
    for example in dataset.examples:
        bare = voc.to_xml(replace(example, boxes=()))
        (tmp_path / "annotations" / f"{example.name}.xml").write_text(bare)
    with pytest.raises(InputError, match=r"none of the 6 pictures has a box to learn from$"):
        read_dataset(tmp_path)
    backgrounds = read_dataset(tmp_path, dataset.labels)
    assert backgrounds.notes == ("none of the 6 pictures has a box to learn from",)


def test_a_bare_list_of_classes_does_not_hide_the_xml(tmp_path: Path) -> None:
    expected = write_voc(tmp_path)
    (tmp_path / "classes.txt").write_text("dog\n")
    assert_same_boxes(read_dataset(tmp_path), expected, pixels=0.51)


def test_a_stray_xml_does_not_hide_yolos_texts(tmp_path: Path) -> None:
    expected = write_yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text("BB-8\nR2-D2\n")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "p0.xml").write_text(voc.to_xml(expected.examples[0]))
    assert_same_boxes(read_dataset(tmp_path), expected, pixels=0.01)


def test_a_label_maps_other_names_and_comments(tmp_path: Path) -> None:
    expected = write_voc(tmp_path)
    (tmp_path / "label_map.pbtxt").write_text(
        "# item { old }\nitem { id: 1 name: 'BB-8' display_name: 'The #1 Ball' } # the first\n"
        "item { id: 2 name: 'R2-D2' }\n"
    )
    found = read_dataset(tmp_path)
    assert found.labels.names == ("The #1 Ball", "R2-D2")
    assert found.left_out == ()
    assert sum(len(example.boxes) for example in found.examples) == sum(
        len(example.boxes) for example in expected.examples
    )


def test_a_label_maps_other_names_hold_for_a_runs_labels(tmp_path: Path) -> None:
    expected = write_voc(tmp_path)
    (tmp_path / "label_map.pbtxt").write_text(
        "item { id: 1 name: 'BB-8' display_name: 'The Ball' }\nitem { id: 2 name: 'R2-D2' }\n"
    )
    learnt = LabelMap(("The Ball", "R2-D2"))  # as a run keeps it
    found = read_dataset(tmp_path, learnt)
    assert found.labels.names == learnt.names
    assert {box.label for example in found.examples for box in example.boxes} == set(learnt)
    (tmp_path / "label_map.pbtxt").write_text("item { id: 1 name: 'BB-8' display_name: 'Ball' }")
    assert_same_boxes(read_dataset(tmp_path, expected.labels), expected, pixels=0.51)
