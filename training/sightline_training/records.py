"""Examples as TFRecord files in the Object Detection API's feature schema (its `dataset_util`)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sightline.errors import InputError
from sightline.image_header import read_header
from sightline.images import decode, encode_jpeg
from sightline_training.annotations.reading import Labelled, Reading
from sightline_training.examples import Dataset, Example, LabelledBox
from sightline_training.labels import LabelMap, to_pbtxt
from sightline_training.layout import LABEL_MAP
from sightline_training.replacing import new_folder

if TYPE_CHECKING:
    import tensorflow as tf

_SHARD: Final = re.compile(r"-(\d+)-of-(\d+)")  # as the API's tools number the files of one set
_PATTERNS: Final = ("*.tfrecord*", "*.record*", "*.tfrec*")
_GZIP: Final = b"\x1f\x8b"
_ZLIB: Final = b"\x78"
_EMBEDDED: Final = frozenset({"JPEG", "PNG"})  # what the API's decoder takes
_QUALITY: Final = 95  # of pictures that had to be written anew


def find(folder: Path) -> list[Path]:
    """The record files of a folder."""
    return sorted({path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()})


def read_files(paths: Iterable[Path], numbered: LabelMap | None) -> Reading:
    """Read record files, compressed or not. Pictures are kept in memory as they are encoded.

    Args:
        paths: the files.
        numbered: the map by which the files number their objects, for those that have no names.

    Raises:
        InputError: a file is missing, cut short or damaged, or a record lacks a feature.
    """
    files = list(paths)
    _check_shards(files)
    found, parts = [], []
    for path in files:
        for number, record in enumerate(_records(path)):
            found.append(_labelled(record, path, number, numbered))
            parts.append(_SHARD.sub("", path.name))
    return Reading(tuple(found), parts=tuple(parts))


def _check_shards(paths: Iterable[Path]) -> None:
    """Refuse sets of which a file is missing.

    Raises:
        InputError: naming the first.
    """
    sets: dict[tuple[str, str, int], set[int]] = {}
    for path in paths:
        if (match := _SHARD.search(path.name)) is not None:
            key = path.name[: match.start()], path.name[match.end() :], int(match[2])
            sets.setdefault(key, set()).add(int(match[1]))
    for (head, tail, count), numbers in sets.items():
        missing = sorted(set(range(count)) - numbers)
        if missing:
            first = f"{head}-{missing[0]:05d}-of-{count:05d}{tail}"
            raise InputError(f"{first} is missing; there are {len(numbers)} files of {count}")


def write_files(
    folder: Path,
    dataset: Dataset,
    *,
    shards: int = 1,
    compress: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Path]:
    """Write a data set as `data-00000-of-0000N.tfrecord` files and a label map, whole or not at all.

    Raises:
        InputError: the folder is there already, or the number of shards is not positive.
        OSError: the disk is full, or the like.
    """
    import tensorflow as tf

    from sightline_training.tensorflow_faults import writing

    if shards < 1:
        raise InputError(f"the number of shards is {shards}; it is at least 1")
    options = tf.io.TFRecordOptions("GZIP" if compress else "")
    names = [f"data-{number:05d}-of-{shards:05d}.tfrecord" for number in range(shards)]
    with new_folder(folder) as part:
        with writing(folder):
            for number, name in enumerate(names):
                with tf.io.TFRecordWriter(str(part / name), options) as writer:
                    for example in dataset.examples[number::shards]:
                        writer.write(to_record(example, dataset.labels))
                        progress(1)
        (part / LABEL_MAP).write_text(to_pbtxt(dataset.labels), encoding="utf-8")
    return [folder / name for name in names]


def to_record(example: Example, labels: LabelMap) -> bytes:
    """An example as a serialised tf.train.Example.

    The API's decoder knows neither EXIF orientation nor formats but JPEG and PNG; other pictures are
    written anew, upright, as JPEG.
    """
    import tensorflow as tf

    encoded = example.read()
    header = read_header(encoded)
    if header.format not in _EMBEDDED or header.orientation != 1:
        encoded = encode_jpeg(decode(encoded).pixels, quality=_QUALITY)
        header = read_header(encoded)

    def texts(*values: str | bytes) -> tf.train.Feature:
        raw = [value.encode() if isinstance(value, str) else value for value in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=raw))

    def numbers(*values: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def fractions(edge: str) -> tf.train.Feature:
        values = [getattr(box, edge) for box in example.boxes]
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    features = {
        "image/height": numbers(example.height),
        "image/width": numbers(example.width),
        "image/filename": texts(example.path.name),
        "image/source_id": texts(example.name),
        "image/key/sha256": texts(hashlib.sha256(encoded).hexdigest()),
        "image/encoded": texts(encoded),
        "image/format": texts(header.format.lower()),
        "image/object/class/text": texts(*(box.label for box in example.boxes)),
        "image/object/class/label": numbers(*(labels.id_of(box.label) for box in example.boxes)),
        "image/object/difficult": numbers(*(int(box.difficult) for box in example.boxes)),
        **{f"image/object/bbox/{edge}": fractions(edge) for edge in ("xmin", "xmax", "ymin", "ymax")},
    }
    record: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return record


def _records(path: Path) -> Iterator[bytes]:
    import tensorflow as tf

    from sightline_training.tensorflow_faults import plain

    with path.open("rb") as file:
        head = file.read(2)
    compression = "GZIP" if head == _GZIP else "ZLIB" if head[:1] == _ZLIB else ""
    try:
        yield from tf.data.TFRecordDataset(str(path), compression).as_numpy_iterator()
    except tf.errors.OpError as fault:
        raise InputError(f"{path} is no TFRecord file, or is cut short: {plain(fault)}") from None


def _labelled(record: bytes, path: Path, number: int, numbered: LabelMap | None) -> Labelled:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError:
        raise InputError(f"{path}, record {number}: no tf.train.Example") from None
    if not features["image/encoded"].bytes_list.value:
        raise InputError(
            f"{path}, record {number}: it has no image/encoded, so it is none of the API's schema"
        )
    encoded = features["image/encoded"].bytes_list.value[0]
    told = [*features["image/source_id"].bytes_list.value, *features["image/filename"].bytes_list.value]
    name = next((text.decode(errors="replace") for text in told if text), f"{path.stem}-{number}")
    reader = partial(_objects, features, f"{path}, record {number}", numbered)
    return Labelled(name, path.parent / name, reader, _declared(features), data=encoded)


def _declared(features: Any) -> tuple[int, int] | None:
    """Width and height that a record gives its picture; None where it gives none that can be meant."""
    sides = [[*features[f"image/{side}"].int64_list.value] for side in ("width", "height")]
    if any(len(values) != 1 or values[0] <= 0 for values in sides):
        return None
    return sides[0][0], sides[1][0]


def _objects(
    features: Any, where: str, numbered: LabelMap | None, _width: int, _height: int
) -> tuple[LabelledBox, ...]:
    edges = [
        features[f"image/object/bbox/{edge}"].float_list.value for edge in ("ymin", "xmin", "ymax", "xmax")
    ]
    names = [
        text.decode(errors="replace") for text in features["image/object/class/text"].bytes_list.value
    ] or _named(features["image/object/class/label"].int64_list.value, where, numbered)
    if len({len(names), *(len(values) for values in edges)}) > 1:
        raise InputError(f"{where}: boxes and class/text differ in number")
    difficult = [*features["image/object/difficult"].int64_list.value] or [0] * len(names)
    if len(difficult) != len(names):
        raise InputError(f"{where}: boxes and difficult differ in number")
    return tuple(
        LabelledBox(name, ymin, xmin, ymax, xmax, bool(hard))
        for name, ymin, xmin, ymax, xmax, hard in zip(names, *edges, difficult, strict=True)
    )


def _named(numbers: Iterable[int], where: str, labels: LabelMap | None) -> list[str]:
    """The classes of objects that are only numbered."""
    found = list(numbers)
    if found and labels is None:
        raise InputError(f"{where}: its objects have numbers but no names; a {LABEL_MAP} would name them")
    names = labels.by_number if labels else {}
    if unknown := set(found) - names.keys():
        raise InputError(f"{where}: it holds the class {min(unknown)}, which the label map lacks")
    return [names[number] for number in found]
