"""Labelled pictures in every format, and what is said of bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from support.labelled import assert_same_boxes, drawn_examples, write_coco, write_voc, write_yolo

from sightline.errors import InputError
from sightline_training.annotations import read_dataset
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
