"""YOLO text: a line for each box, `class x y width height`, all from 0 to 1."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import yaml

from sightline.errors import InputError
from sightline_training.annotations.reading import (
    PICTURE_SUFFIXES,
    Labelled,
    Reading,
    box_around,
    is_part,
    lost_picture,
    read_text,
)
from sightline_training.examples import LabelledBox, LeftOut
from sightline_training.layout import IMAGES

_LABELS: Final = "labels"
_YAML: Final = ("data.yaml", "data.yml", "dataset.yaml")
_LISTS: Final = ("classes.txt", "obj.names")
_BOX: Final = 5  # fields: class, x, y, width, height
_WITH_SCORE: Final = 6
_SHOWN: Final = 60  # characters of a line that cannot be read
_POLYGON_FROM: Final = 7  # fields: class and at least three points


def find(folder: Path) -> Path | None:
    """The file that names the classes of a YOLO data set; None where the folder is none."""
    places = (folder / name for name in (*_YAML, *_LISTS, *(f"{_LABELS}/{name}" for name in _LISTS)))
    return next((path for path in places if path.is_file()), None)


def is_list(names_file: Path) -> bool:
    """Whether the file is a bare list, which tools leave beside other formats too."""
    return names_file.name in _LISTS


def count(folder: Path) -> int:
    """How many pictures of a folder have a label file."""
    return sum(_text_of(picture, folder).is_file() for picture in _pictures(folder))


def read_folder(folder: Path, names_file: Path) -> Reading:
    """Read images/ and labels/ (with train/, val/ below or above them, or neither), or both in one folder.

    Raises:
        InputError: the names cannot be read.
    """
    names = _names(names_file)
    pictures = _pictures(folder)
    found, left_out, parts = [], [], []
    for picture in pictures:
        text = _text_of(picture, folder)
        if text.is_file():
            found.append(Labelled(picture.stem, picture, partial(_objects, text, names)))
            folders = picture.parent.relative_to(folder).parts
            parts += [part for part in folders if is_part(part)][:1]
        else:
            left_out.append(
                LeftOut(picture.name, "it has no label file; an empty one would say that it is empty")
            )
    left_out += _lost(folder, {_text_of(picture, folder) for picture in pictures})
    return Reading(tuple(found), names, tuple(left_out), tuple(parts))


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)


def _lost(folder: Path, known: Collection[Path]) -> Iterator[LeftOut]:
    """Label files without a picture; texts elsewhere are no labels."""
    for text in sorted(folder.rglob("*.txt")):
        below = text.relative_to(folder).parts
        if _LABELS in below and text.name not in _LISTS and text not in known:
            pictures = folder.joinpath(*(IMAGES if part == _LABELS else part for part in below)).parent
            yield LeftOut(text.name, lost_picture(pictures, text))


def _text_of(picture: Path, folder: Path) -> Path:
    """The label file of a picture: the path with `labels` in place of `images`."""
    parts = [_LABELS if part == IMAGES else part for part in picture.relative_to(folder).parts]
    return folder.joinpath(*parts).with_suffix(".txt")


def _names(path: Path) -> tuple[str, ...]:
    """The classes by their number.

    Raises:
        InputError: the file names none, or leaves a number without a name.
    """
    text = read_text(path)
    if path.name in _LISTS:
        names = [line.strip() for line in text.rstrip().splitlines()]
        if not any(names):
            raise InputError(f"{path} names no class")
        if "" in names:
            raise InputError(
                f"{path}, line {names.index('') + 1} is blank; each line names the class of its number"
            )
        return tuple(names)
    try:
        # It leaves all values texts: a class `no` is no False, and 1.0 stays as it is written.
        tables = yaml.BaseLoader(text).get_single_data()
    except yaml.YAMLError as fault:
        raise InputError(f"{path} is no YAML: {' '.join(str(fault).split())}") from None
    listed = tables.get("names") if isinstance(tables, dict) else None
    if isinstance(listed, dict):
        numbers = [str(number) for number in range(len(listed))]
        if set(listed) != set(numbers):
            raise InputError(f"{path}: classes are numbered from 0 without a gap, not [{', '.join(listed)}]")
        listed = [listed[number] for number in numbers]
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{path} lists no classes under `names`, such as `names: [r2d2, bb8]`")
    return tuple(str(name) for name in listed)


def _objects(path: Path, names: tuple[str, ...], _width: int, _height: int) -> tuple[LabelledBox, ...]:
    boxes = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            index, corners = _shape(line.split())
        except (ValueError, OverflowError):
            raise InputError(
                f"{path}, line {number}: {_cut(line)!r} is not `class x y width height`, nor a polygon"
            ) from None
        if not 0 <= index < len(names):
            raise InputError(f"{path}, line {number}: class {index} is none of the {len(names)} named ones")
        boxes.append(LabelledBox(names[index], *corners))
    return tuple(boxes)


def _cut(line: str) -> str:
    """A line as messages show it; a polygon's may have thousands of points."""
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _shape(fields: list[str]) -> tuple[int, tuple[float, float, float, float]]:
    """A line's class, and its box as ymin xmin ymax xmax; of a polygon, turned boxes too, what it fills.

    Raises:
        ValueError: it is neither.
        OverflowError: the class is no finite number.
    """
    number, *numbers = (float(field) for field in fields)
    index = int(number)
    if index != number:  # `0.0` is what tools write that keep the class beside the box as numbers
        raise ValueError(fields)
    if len(fields) in {_BOX, _WITH_SCORE}:
        x, y, width, height = numbers[:4]
        return index, (y - height / 2, x - width / 2, y + height / 2, x + width / 2)
    if len(fields) < _POLYGON_FROM or len(numbers) % 2:
        raise ValueError(fields)
    return index, box_around(numbers[::2], numbers[1::2])
