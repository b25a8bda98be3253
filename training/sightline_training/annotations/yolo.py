"""YOLO text: a line for each box, `class x y width height`, all from 0 to 1."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

import yaml

from sightline.errors import InputError
from sightline_training.annotations.reading import PICTURE_SUFFIXES, Labelled, collect
from sightline_training.examples import Dataset, LabelledBox, LeftOut
from sightline_training.labels import LabelMap
from sightline_training.layout import IMAGES

_LABELS: Final = "labels"
_YAML: Final = ("data.yaml", "data.yml", "dataset.yaml")
_LISTS: Final = ("classes.txt", "obj.names")
_FIELDS: Final = 5


def find(folder: Path) -> Path | None:
    """The file that names the classes of a YOLO data set; None where the folder is none."""
    places = (folder / name for name in (*_YAML, *_LISTS, *(f"{_LABELS}/{name}" for name in _LISTS)))
    return next((path for path in places if path.is_file()), None)


def read_folder(folder: Path, names_file: Path, labels: LabelMap | None) -> Dataset:
    """Read images/ and labels/ (with or without train/, val/ below them), or both kinds in one folder.

    Raises:
        InputError: the names or a line cannot be read, or as `collect`.
    """
    names = _names(names_file)
    pictures = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    found, left_out = [], []
    for picture in pictures:
        text = _text_of(picture, folder)
        if text.is_file():
            found.append(Labelled(picture.stem, picture, partial(_objects, text, names)))
        else:
            left_out.append(
                LeftOut(picture.name, "it has no label file; an empty one would say that it is empty")
            )
    return collect(found, labels or LabelMap(names), left_out=left_out)


def _text_of(picture: Path, folder: Path) -> Path:
    """The label file of a picture: the path with `labels` in place of `images`."""
    inside = picture.relative_to(folder)
    if inside.parts[0] == IMAGES:
        return folder.joinpath(_LABELS, *inside.parts[1:]).with_suffix(".txt")
    return picture.with_suffix(".txt")


def _names(path: Path) -> tuple[str, ...]:
    text = path.read_text(encoding="utf-8")
    if path.name in _LISTS:
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    try:
        names = yaml.safe_load(text)["names"]
        ordered = [names[number] for number in sorted(names)] if isinstance(names, dict) else names
        return tuple(str(name) for name in ordered)
    except (yaml.YAMLError, KeyError, TypeError) as fault:
        raise InputError(f"{path} lists no classes under `names`: {fault!r}") from None


def _objects(path: Path, names: tuple[str, ...], _width: int, _height: int) -> tuple[LabelledBox, ...]:
    boxes = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            fields = line.split()
            index, (x, y, w, h) = int(fields[0]), (float(field) for field in fields[1:_FIELDS])
        except ValueError:
            raise InputError(f"{path}, line {number}: {line!r} is not `class x y width height`") from None
        if not 0 <= index < len(names):
            raise InputError(f"{path}, line {number}: class {index} is none of the {len(names)} named ones")
        boxes.append(LabelledBox(names[index], y - h / 2, x - w / 2, y + h / 2, x + w / 2))
    return tuple(boxes)
