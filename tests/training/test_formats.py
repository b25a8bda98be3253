"""Labelled pictures in every format, and what is said of bad ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from support.labelled import assert_same_boxes, drawn_examples, write_coco, write_voc, write_yolo

from sightline.errors import InputError
from sightline_training.annotations import read_dataset, voc
from sightline_training.examples import Dataset
from sightline_training.labels import LabelMap, from_pbtxt, to_pbtxt
from sightline_training.records import to_record, write_files


@pytest.mark.parametrize(("write", "pixels"), [(write_voc, 0.51), (write_coco, 0.01), (write_yolo, 0.01)])
def test_a_format_is_recognised_and_read(
    tmp_path: Path, write: Callable[[Path], Dataset], pixels: float
) -> None:
    expected = write(tmp_path)
    found = read_dataset(tmp_path)
    assert found.labels.names == ("BB-8", "R2-D2")
    assert found.left_out == ()
    assert_same_boxes(found, expected, pixels=pixels)


@pytest.mark.parametrize("compress", [False, True])
def test_records_give_back_what_was_written(tmp_path: Path, compress: bool) -> None:
    expected = drawn_examples(tmp_path / "pictures", 5)
    written = write_files(tmp_path / "records", expected, shards=2, compress=compress)
    assert [path.name for path in written] == [f"data-0000{n}-of-00002.tfrecord" for n in (0, 1)]
    found = read_dataset(tmp_path / "records")
    by_name = Dataset(found.labels, tuple(sorted(found.examples, key=lambda example: example.name)))
    assert_same_boxes(by_name, expected, pixels=0.01)
    assert [e.read() for e in by_name.examples] == [e.read() for e in expected.examples]
    assert by_name.fingerprint() != ""


def test_records_follow_the_object_detection_apis_schema(tmp_path: Path) -> None:
    """Read as the API's TfExampleDecoder reads: by tf.io.parse_single_example with its feature specs."""
    expected = drawn_examples(tmp_path / "pictures", 4)
    (path,) = write_files(tmp_path / "records", expected)
    floats, numbers, texts = (tf.io.VarLenFeature(kind) for kind in (tf.float32, tf.int64, tf.string))
    spec = {
        "image/encoded": tf.io.FixedLenFeature((), tf.string),
        "image/format": tf.io.FixedLenFeature((), tf.string, "jpeg"),
        "image/filename": tf.io.FixedLenFeature((), tf.string),
        "image/source_id": tf.io.FixedLenFeature((), tf.string),
        "image/key/sha256": tf.io.FixedLenFeature((), tf.string),
        "image/height": tf.io.FixedLenFeature((), tf.int64),
        "image/width": tf.io.FixedLenFeature((), tf.int64),
        **{f"image/object/bbox/{edge}": floats for edge in ("xmin", "xmax", "ymin", "ymax")},
        "image/object/class/label": numbers,
        "image/object/class/text": texts,
        "image/object/difficult": numbers,
    }
    for record, example in zip(tf.data.TFRecordDataset(str(path)), expected.examples, strict=True):
        parsed = tf.io.parse_single_example(record, spec)
        picture = tf.io.decode_jpeg(parsed["image/encoded"])
        assert picture.shape == (example.height, example.width, 3)
        labels = tf.sparse.to_dense(parsed["image/object/class/label"]).numpy()
        assert list(labels) == [expected.labels.id_of(box.label) for box in example.boxes]
        xmax = tf.sparse.to_dense(parsed["image/object/bbox/xmax"]).numpy()
        np.testing.assert_allclose(xmax, [box.xmax for box in example.boxes], rtol=1e-6)


def test_a_rotated_picture_is_written_upright(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc", 1)
    path = dataset.examples[0].path
    pixels = cv2.imread(str(path))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    plain = path.read_bytes()
    path.write_bytes(plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:])
    found = read_dataset(tmp_path / "voc")
    assert (found.examples[0].width, found.examples[0].height) == pixels.shape[:2]  # the sides swapped
    write_files(tmp_path / "records", found)
    encoded = read_dataset(tmp_path / "records").examples[0].read()
    stored = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert stored.shape[:2] == (pixels.shape[1], pixels.shape[0])


def test_label_maps_survive_their_file() -> None:
    labels = LabelMap(("BB-8", "R2-D2", "C-3PO's"))
    with pytest.raises(InputError, match="quote"):
        to_pbtxt(LabelMap(("'both\"",)))
    assert from_pbtxt(to_pbtxt(labels)) == labels
    assert from_pbtxt('item { name: "n0"\n id: 1 display_name: "person" }').names == ("person",)
    with pytest.raises(InputError, match="without a gap"):
        from_pbtxt("item { id: 2 name: 'x' }")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        read_dataset(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        read_dataset(tmp_path / "missing")


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


@pytest.mark.parametrize("compress", [False, True])
def test_a_record_file_cut_short_is_named(tmp_path: Path, compress: bool) -> None:
    dataset = drawn_examples(tmp_path / "pictures", 3)
    (path,) = write_files(tmp_path / "records", dataset, compress=compress)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="cut short"):
        read_dataset(tmp_path / "records")


def test_records_of_another_schema_are_named(tmp_path: Path) -> None:
    with tf.io.TFRecordWriter(str(tmp_path / "x.tfrecord")) as writer:
        writer.write(tf.train.Example().SerializeToString())
    with pytest.raises(InputError, match="no image/encoded"):
        read_dataset(tmp_path)


def _say(path: Path, *edits: tuple[str, str]) -> None:
    """Edit an annotation file; each of the texts must be there."""
    text = path.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)


def _reasons(folder: Path) -> dict[str, str]:
    return {item.name: item.reason for item in read_dataset(folder).left_out}


def _with_boxes(dataset: Dataset) -> list[str]:
    return [example.name for example in dataset.examples if example.boxes]


def test_a_picture_whose_box_cannot_be_meant_is_no_background(tmp_path: Path) -> None:
    expected = write_yolo(tmp_path)
    first, second, *_ = _with_boxes(expected)
    labels = tmp_path / "labels" / "train"
    (labels / f"{first}.txt").write_text("0 nan 0.5 0.1 0.1\n")
    (labels / f"{second}.txt").write_text("0 320 240 50 60\n")
    reasons = _reasons(tmp_path)
    assert reasons == {
        first: "a box of 'BB-8' has a corner that is no finite number",
        second: "a box of 'BB-8' lies outside the picture",
    }
    assert {first, second}.isdisjoint(example.name for example in read_dataset(tmp_path).examples)


def test_a_slip_of_the_mouse_is_left_out_alone(tmp_path: Path) -> None:
    name = _with_boxes(write_yolo(tmp_path))[0]
    with (tmp_path / "labels" / "train" / f"{name}.txt").open("a") as file:
        file.write("\n0 0.5 0.5 0.0 0.0\n")
    assert _reasons(tmp_path) == {name: "a box of 'BB-8' is thinner than a thousandth of the picture"}
    assert name in [example.name for example in read_dataset(tmp_path).examples]


def test_a_box_drawn_backwards_means_the_same(tmp_path: Path) -> None:
    expected = write_voc(tmp_path)
    path = tmp_path / "annotations" / f"{_with_boxes(expected)[0]}.xml"
    text = path.read_text()
    path.write_text(text.replace("xmin", "x?").replace("xmax", "xmin").replace("x?", "xmax"))
    assert read_dataset(tmp_path).left_out == ()
    assert_same_boxes(read_dataset(tmp_path), expected, pixels=0.51)


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


def test_a_set_of_record_files_is_whole_or_refused(tmp_path: Path) -> None:
    first, second, _ = write_files(tmp_path, drawn_examples(tmp_path.parent / "pictures", 3), shards=3)
    second.unlink()
    with pytest.raises(InputError, match=r"^data-00001-of-00003\.tfrecord is missing; there are 2 files"):
        read_dataset(tmp_path)
    assert first.is_file()


def test_records_may_name_their_objects_by_numbers(tmp_path: Path) -> None:
    expected = drawn_examples(tmp_path / "pictures", 3)
    with tf.io.TFRecordWriter(str(tmp_path / "x.record")) as writer:
        for example in expected.examples:
            record = tf.train.Example.FromString(to_record(example, expected.labels))
            del record.features.feature["image/object/class/text"]
            writer.write(record.SerializeToString())
    with pytest.raises(InputError, match=r"a label_map\.pbtxt would name them"):
        read_dataset(tmp_path)
    (tmp_path / "label_map.pbtxt").write_text(to_pbtxt(expected.labels))
    assert_same_boxes(read_dataset(tmp_path), expected, pixels=0.01)


def test_yolo_polygons_are_taken_by_what_they_fill(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    path = tmp_path / "labels" / "train" / "p0.txt"
    path.write_text("0 0.16 0.03 0.72 0.03 0.72 1.0 0.16 1.0\n1 0.5 0.5 0.2 0.2 0.9\n")
    corners = read_dataset(tmp_path).examples[0].corners()
    np.testing.assert_allclose(corners, [[0.03, 0.16, 1.0, 0.72], [0.4, 0.4, 0.6, 0.6]], atol=1e-6)
    path.write_text("0 0.1 0.2 0.3 0.4 0.5 0.6 0.7\n")
    assert "line 1: '0 0.1 0.2 0.3 0.4 0.5 0.6 0.7' is not" in _reasons(tmp_path)["p0"]


def test_yolo_parts_may_lie_around_images_and_labels(tmp_path: Path) -> None:
    expected = write_yolo(tmp_path / "flat")
    for kind in ("images", "labels"):
        shutil.copytree(tmp_path / "flat" / kind / "train", tmp_path / "set" / "train" / kind)
    shutil.copy(tmp_path / "flat" / "data.yaml", tmp_path / "set")
    assert_same_boxes(read_dataset(tmp_path / "set"), expected, pixels=0.01)


def test_an_annotation_goes_to_the_picture_that_it_names(tmp_path: Path) -> None:
    expected = write_voc(tmp_path)
    images = tmp_path / "images"
    (images / "p1.bmp").write_bytes((images / "p1.jpg").read_bytes())
    (images / "p2.bmp").write_bytes((images / "p2.jpg").read_bytes())
    _say(tmp_path / "annotations" / "p2.xml", ("p2.jpg", "other.jpg"))
    (tmp_path / "annotations" / "p3.xml").rename(tmp_path / "annotations" / "p3.XML")
    (images / "p4.jpg").rename(images / "p4.heic")
    found = read_dataset(tmp_path)
    reasons = {item.name: item.reason for item in found.left_out}
    assert [example.path.name for example in found.examples] == ["p0.jpg", "p1.jpg", "p3.jpg", "p5.jpg"]
    assert reasons["p1.bmp"] == "it has no annotation"
    assert reasons["p2.xml"] == "it may be of p2.bmp and p2.jpg; its <filename> names neither"
    assert "p4.heic is of a kind that is not taken; .bmp, .jpeg, .jpg" in reasons["p4.xml"]
    assert len(expected.examples) == 6


def test_annotations_that_cannot_be_read_are_listed_one_by_one(tmp_path: Path) -> None:
    write_voc(tmp_path)
    (tmp_path / "annotations" / "p0.xml").write_bytes(b"")
    path = tmp_path / "annotations" / "p1.xml"
    path.write_text(path.read_text()[:-30])
    reasons = _reasons(tmp_path)
    assert reasons.keys() == {"p0", "p1"}
    assert all("is no VOC annotation" in reason for reason in reasons.values())


@pytest.mark.parametrize("bbox", ["null", "[1, 2, 3]", '"box"', '[1, 2, "x", 4]'])
def test_coco_boxes_of_no_shape_are_named(tmp_path: Path, bbox: str) -> None:
    write_coco(tmp_path)
    tables = json.loads((tmp_path / "instances.json").read_text())
    tables["annotations"][0]["bbox"] = json.loads(bbox)
    tables["annotations"][-1]["image_id"] = 77
    tables["images"][1]["width"] = str(tables["images"][1]["width"])
    (tmp_path / "instances.json").write_text(json.dumps(tables))
    reasons = _reasons(tmp_path)
    name = tables["images"][tables["annotations"][0]["image_id"]]["file_name"].removesuffix(".jpg")
    assert "not [x, y, width, height]" in reasons[name]
    assert reasons["1 boxes"] == "their image_id 77 is that of no image"


def test_coco_categories_that_are_spellings_of_one_class_become_one(tmp_path: Path) -> None:
    write_coco(tmp_path)
    _say(tmp_path / "instances.json", ('"name": "BB-8"', '"name": "R2D2"'))
    assert read_dataset(tmp_path).labels.names == ("R2D2",)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("instances.json", b'{"images": [', r"instances\.json is no JSON, or is cut short"),
        ("instances.json", '{"name": "Jürgen"}'.encode("latin-1"), r"is no UTF-8 text"),
        ("data.yaml", b"", r"data\.yaml lists no classes under `names`, such as"),
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


def test_a_bare_list_of_classes_does_not_hide_the_xml(tmp_path: Path) -> None:
    expected = write_voc(tmp_path)
    (tmp_path / "classes.txt").write_text("dog\n")
    assert_same_boxes(read_dataset(tmp_path), expected, pixels=0.51)


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
