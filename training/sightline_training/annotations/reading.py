"""What every reader of annotations does with a picture: find its size, check its boxes, name its classes."""

from __future__ import annotations

import glob
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from sightline.errors import InputError
from sightline.image_header import read_header
from sightline_training.aliases import Spellings, distinct, label_map_of
from sightline_training.annotations.frames import drawn_before_turn, turned
from sightline_training.examples import Dataset, Example, LabelledBox, LeftOut
from sightline_training.labels import LabelMap, from_pbtxt
from sightline_training.layout import LABEL_MAP

LAYOUTS: Final = (
    "TFRecord files; a COCO JSON file; YOLO text with a data.yaml or classes.txt; "
    "or Pascal VOC XML (images/ and annotations/, JPEGImages/ and Annotations/, or beside the pictures)"
)
PICTURE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_TEXT_SUFFIXES: Final = frozenset({".xml", ".txt", ".json"})  # annotations, which may lie beside a picture
_PART: Final = re.compile(r"(train|val|test)\w*", re.IGNORECASE)  # train2017, valid and testing, too
_MIN_SIDE: Final = 1e-3  # of the picture; a thinner box is a slip of the mouse
_SLIP: Final = "is thinner than a thousandth of the picture"

# (width, height) of the picture that the boxes were drawn on -> boxes, as shares of it
BoxReader = Callable[[int, int], tuple[LabelledBox, ...]]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture and the way to its boxes, before either was looked at."""

    name: str
    picture: Path
    boxes: BoxReader
    declared: tuple[int, int] | None = None  # as `Example`
    data: bytes | None = None  # the encoded picture, where it lies in no file of its own


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader found in one place."""

    found: tuple[Labelled, ...]
    classes: tuple[str, ...] = ()  # that the place lists, in its order; none where labels alone tell them
    left_out: tuple[LeftOut, ...] = ()  # what the reader itself passed over
    parts: tuple[str, ...] = ()  # which part of the set each picture is of, where any tells
    class_notes: tuple[str, ...] = ()  # on `classes`, where they are taken


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, by name; files of other kinds are passed over."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)


def lost_picture(folder: Path, annotation: Path) -> str:
    """Why an annotation file has no picture in a folder."""
    like = sorted(folder.glob(f"{glob.escape(annotation.stem)}.*"))
    other = next((path for path in like if path.suffix.lower() not in _TEXT_SUFFIXES), None)
    if other is None:
        return f"there is no picture for it in {folder}"
    taken = ", ".join(sorted(PICTURE_SUFFIXES))
    return f"its picture {other.name} is of a kind that is not taken; {taken} are"


def find_label_map(folder: Path) -> LabelMap | None:
    """The label map that lies in a data set's folder, if one does."""
    path = folder / LABEL_MAP
    if not path.is_file():
        return None
    text = read_text(path)
    try:
        return from_pbtxt(text)
    except InputError as fault:
        raise InputError(f"{path}: {fault.detail}") from None


def read_text(path: Path) -> str:
    """A text file, with or without a byte order mark.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as fault:
        raise InputError(f"{path} is no UTF-8 text (byte {fault.start}); save it as UTF-8") from None


def is_part(name: str) -> bool:
    """Whether a folder is called like one part of a data set."""
    return _PART.fullmatch(name) is not None


def note_on_parts(names: Iterable[str]) -> tuple[str, ...]:
    """What to say of a data set that comes in parts, of which each picture names its own."""
    counts = Counter(names)
    if len(counts) < 2:
        return ()
    told = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
    return (f"{told} are read as one set, which `fit` splits anew; read them one by one to keep them apart",)


def collect(readings: Sequence[Reading], labels: LabelMap | None) -> Dataset:
    """Turn what readers found into a data set.

    Pictures are left out and listed if they, their annotation or one of its boxes cannot be read: without
    its box, an object would be learnt as background. A slip of the mouse is left out alone.

    Args:
        readings: of each part of the set.
        labels: the classes; None takes those that the readings list, or makes a map of the labels that
            occur.

    Raises:
        InputError: a label is none of `labels`, or nothing is left.
    """
    notes = note_on_parts(chain.from_iterable(reading.parts for reading in readings))
    if labels is None:
        notes += tuple(dict.fromkeys(chain.from_iterable(reading.class_notes for reading in readings)))
        listed = distinct(chain.from_iterable(reading.classes for reading in readings))
        labels = LabelMap(listed) if listed else None
    found = chain.from_iterable(reading.found for reading in readings)
    dropped = list(chain.from_iterable(reading.left_out for reading in readings))
    examples = [example for item in _apart(found) if (example := _example(item, dropped)) is not None]
    reasons = "".join(f"; {item.name}: {item.reason}" for item in dropped[:3])
    if not examples:
        raise InputError(f"the data set holds no usable picture{reasons}")
    if not any(example.boxes for example in examples):
        bare = f"none of the {len(examples)} pictures has a box to learn from"
        if labels is None:
            raise InputError(f"{bare}{reasons}")
        # No fault where the classes are known: backgrounds alone can be evaluated, for false alarms.
        notes = (*notes, bare)
    if labels is None:
        labels = label_map_of(box.label for example in examples for box in example.boxes)
    spellings = Spellings(labels)
    named = tuple(_named(example, spellings, labels) for example in examples)
    return Dataset(labels, named, tuple(dropped), _spellings(examples, named), notes)


def _apart(found: Iterable[Labelled]) -> list[Labelled]:
    """Pictures of one name get the folders before it that differ, and a number where none does.

    Splits and runs go by the names, so no two may be equal.
    """
    items = list(found)
    folders: dict[str, list[Path]] = {}
    for item in items:
        folders.setdefault(item.name, []).append(item.picture.parent.absolute())
    shared = {name: os.path.commonpath(alike) for name, alike in folders.items()}
    taken = {name for name, alike in folders.items() if len(alike) == 1}
    numbers: Counter[str] = Counter()
    apart = []
    for item in items:
        name = item.name
        if len(folders[item.name]) > 1:
            differing = item.picture.parent.absolute().relative_to(shared[item.name]).parts
            wanted = name = "-".join((*differing, item.name))
            while name in taken:
                numbers[wanted] += 1
                name = f"{wanted}-{numbers[wanted] + 1}"
            taken.add(name)
        apart.append(replace(item, name=name))
    return apart


def _spellings(written: Iterable[Example], named: Iterable[Example]) -> dict[str, dict[str, int]]:
    """Class -> label as written -> number of boxes."""
    counts: dict[str, dict[str, int]] = {}
    for before, after in zip(written, named, strict=True):
        for one, other in zip(before.boxes, after.boxes, strict=True):
            of_class = counts.setdefault(other.label, {})
            of_class[one.label] = of_class.get(one.label, 0) + 1
    return counts


def _example(item: Labelled, dropped: list[LeftOut]) -> Example | None:
    try:
        header = read_header(item.picture.read_bytes() if item.data is None else item.data)
    except (InputError, OSError) as fault:
        dropped.append(LeftOut(item.name, f"its picture cannot be read: {fault}"))
        return None
    width, height = header.upright_size
    before = drawn_before_turn(header, item.declared)
    boxes = []
    try:
        read = item.boxes(*((header.width, header.height) if before else header.upright_size))
    except InputError as fault:
        dropped.append(LeftOut(item.name, fault.detail))
        return None
    for drawn in read:
        box = turned(drawn, header.orientation) if before else drawn
        wrong = fault_of(box)
        if wrong:
            dropped.append(LeftOut(item.name, f"a box of {box.label!r} {wrong}"))
            if wrong != _SLIP:
                return None
        else:
            boxes.append(_clipped(box))
    return Example(item.name, item.picture, width, height, tuple(boxes), item.declared, item.data)


def box_around(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float, float, float]:
    """The box that points span, as ymin xmin ymax xmax in their unit; NaN if one of them is NaN.

    Python's min and max pass over a NaN that does not come first, which would make a fault look like a box.
    """
    edges = [float(edge(values)) for edge in (np.min, np.max) for values in (ys, xs)]
    return edges[0], edges[1], edges[2], edges[3]


def fault_of(box: LabelledBox) -> str:
    """What is wrong with a box, or nothing."""
    height, width = box.ymax - box.ymin, box.xmax - box.xmin
    if not (math.isfinite(height) and math.isfinite(width)):
        return "has a corner that is no finite number"
    if 0 <= height < _MIN_SIDE or 0 <= width < _MIN_SIDE:
        return _SLIP
    if height < 0 or width < 0:
        return "ends before it begins"
    inside = _clipped(box)
    if inside.ymax - inside.ymin < _MIN_SIDE or inside.xmax - inside.xmin < _MIN_SIDE:
        return "lies outside the picture"
    return ""


def _clipped(box: LabelledBox) -> LabelledBox:
    """The part of a box inside the picture."""
    edges = {name: min(max(getattr(box, name), 0.0), 1.0) for name in ("ymin", "xmin", "ymax", "xmax")}
    return replace(box, **edges)


def _named(example: Example, spellings: Spellings, labels: LabelMap) -> Example:
    boxes = []
    for box in example.boxes:
        own = spellings.own(box.label)
        if own is None:
            raise InputError(
                f"{example.name} holds a {box.label!r}, which the label map lacks; it has {', '.join(labels)}"
            )
        boxes.append(replace(box, label=own))
    return replace(example, boxes=tuple(boxes))
