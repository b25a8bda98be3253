"""TFRecord files in the Object Detection API's schema."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from support.labelled import assert_same_boxes, drawn_examples, write_voc

from sightline.errors import InputError
from sightline_training.annotations import read_dataset
from sightline_training.examples import Dataset
from sightline_training.labels import LabelMap, to_pbtxt
from sightline_training.records import to_record, write_files


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


def test_a_set_of_record_files_is_whole_or_refused(tmp_path: Path) -> None:
    first, second, _ = write_files(tmp_path, drawn_examples(tmp_path.parent / "pictures", 3), shards=3)
    second.unlink()
    with pytest.raises(InputError, match=r"^data-00001-of-00003\.tfrecord is missing; there are 2 files"):
        read_dataset(tmp_path)
    assert first.is_file()


def _bare_records(path: Path, dataset: Dataset, drop: str, **numbers: list[int]) -> None:
    """Write a record file without one of the API's features, and with others set."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in dataset.examples:
            record = tf.train.Example.FromString(to_record(example, dataset.labels))
            del record.features.feature[drop]
            for name, values in numbers.items():
                record.features.feature[f"image/object/{name}"].int64_list.value[:] = values
            writer.write(record.SerializeToString())


def test_records_may_name_their_objects_by_numbers(tmp_path: Path) -> None:
    expected = drawn_examples(tmp_path / "pictures", 3)
    _bare_records(tmp_path / "x.record", expected, "image/object/class/text")
    with pytest.raises(InputError, match=r"a label_map\.pbtxt would name them"):
        read_dataset(tmp_path)
    (tmp_path / "label_map.pbtxt").write_text(to_pbtxt(expected.labels))
    assert_same_boxes(read_dataset(tmp_path), expected, pixels=0.01)


def test_numbers_are_those_of_the_folders_own_label_map(tmp_path: Path) -> None:
    expected = drawn_examples(tmp_path / "pictures", 3)
    _bare_records(tmp_path / "x.record", expected, "image/object/class/text")
    (tmp_path / "label_map.pbtxt").write_text(to_pbtxt(expected.labels))
    learnt = LabelMap(expected.labels.names[::-1])  # a run may number them otherwise
    assert_same_boxes(read_dataset(tmp_path, learnt), expected, pixels=0.01)


def test_numbers_may_be_those_of_a_label_map_with_gaps(tmp_path: Path) -> None:
    """As the API's own records of COCO have them."""
    expected = drawn_examples(tmp_path / "pictures", 3)
    with tf.io.TFRecordWriter(str(tmp_path / "x.record")) as writer:
        for example in expected.examples:
            record = tf.train.Example.FromString(to_record(example, expected.labels))
            del record.features.feature["image/object/class/text"]
            labels = record.features.feature["image/object/class/label"].int64_list.value
            labels[:] = [11 * number for number in labels]
            writer.write(record.SerializeToString())
    text = to_pbtxt(expected.labels)
    for number in reversed(expected.labels.by_id):
        text = text.replace(f"id: {number}\n", f"id: {11 * number}\n")
    (tmp_path / "label_map.pbtxt").write_text(text)
    found = read_dataset(tmp_path)
    assert_same_boxes(found, expected, pixels=0.01)
    assert found.labels == expected.labels
    assert any("leave gaps; the model's run from 1 to" in note for note in found.notes)


def test_records_whose_flags_differ_in_number_are_left_out(tmp_path: Path) -> None:
    expected = drawn_examples(tmp_path / "pictures", 3)
    _bare_records(tmp_path / "x.record", expected, "image/object/difficult", difficult=[0] * 9)
    with pytest.raises(InputError, match=r"no usable picture.*boxes and difficult differ in number"):
        read_dataset(tmp_path)
