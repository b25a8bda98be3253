"""What every reader of annotations does with a picture: find its size, check its boxes, name its classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sightline.errors import InputError
from sightline.image_header import read_header
from sightline_training.aliases import Spellings, label_map_of
from sightline_training.examples import Dataset, Example, LabelledBox, LeftOut
from sightline_training.labels import LabelMap, from_pbtxt
from sightline_training.layout import LABEL_MAP

PICTURE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_MIN_SIDE: Final = 1e-3  # of the picture; a thinner box is a slip of the mouse

BoxReader = Callable[[int, int], tuple[LabelledBox, ...]]  # (width, height) of the upright picture -> boxes


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture and the way to its boxes, before either was looked at."""

    name: str
    picture: Path
    boxes: BoxReader
    declared: tuple[int, int] | None = None  # as `Example`
    data: bytes | None = None  # the encoded picture, where it lies in no file of its own


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, by name; files of other kinds are passed over."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)


def find_label_map(folder: Path) -> LabelMap | None:
    """The label map that lies in a data set's folder, if one does."""
    path = folder / LABEL_MAP
    return from_pbtxt(path.read_text(encoding="utf-8")) if path.is_file() else None


def collect(
    found: Iterable[Labelled], labels: LabelMap | None, *, left_out: Iterable[LeftOut] = ()
) -> Dataset:
    """Turn what a reader found into a data set.

    Pictures that cannot be read and boxes that cannot be meant are left out and listed.

    Args:
        found: the pictures.
        labels: the classes; None makes a map of the labels that occur.
        left_out: what the reader itself passed over.

    Raises:
        InputError: an annotation cannot be read, a label is none of `labels`, or nothing is left.
    """
    dropped = list(left_out)
    examples = [example for item in found if (example := _example(item, dropped)) is not None]
    if not examples:
        reasons = "".join(f"; {item.name}: {item.reason}" for item in dropped[:3])
        raise InputError(f"the data set holds no usable picture{reasons}")
    if labels is None:
        labels = label_map_of(box.label for example in examples for box in example.boxes)
    spellings = Spellings(labels)
    named = tuple(_named(example, spellings, labels) for example in examples)
    return Dataset(labels, named, tuple(dropped), _spellings(examples, named))


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
    boxes = []
    for box in item.boxes(width, height):
        wrong = fault_of(box)
        if wrong:
            dropped.append(LeftOut(item.name, f"a box of {box.label!r} {wrong}"))
        else:
            boxes.append(_clipped(box))
    return Example(item.name, item.picture, width, height, tuple(boxes), item.declared, item.data)


def fault_of(box: LabelledBox) -> str:
    """What is wrong with a box, or nothing."""
    if box.ymax <= box.ymin or box.xmax <= box.xmin:
        return "is empty: its end does not lie past its start"
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
