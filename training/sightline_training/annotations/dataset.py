"""A data set's folder, whatever its format."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Final

from sightline.contract import FIRST_CLASS_ID
from sightline.errors import InputError
from sightline_training.aliases import with_other_names
from sightline_training.annotations import coco, voc, yolo
from sightline_training.annotations.reading import LAYOUTS, Reading, collect, find_label_map, is_part
from sightline_training.examples import Dataset
from sightline_training.labels import LabelMap
from sightline_training.layout import IMAGES, LABEL_MAP

_PART_IN_NAME: Final = re.compile(r"train|val|test", re.IGNORECASE)  # instances_train2017.json
_TOLD: Final = 6  # kinds of files that an error names


def read_dataset(folder: Path, labels: LabelMap | None = None) -> Dataset:
    """Read a data set: TFRecord files, COCO JSON, YOLO text or Pascal VOC XML, told by what lies there.

    A folder that is none itself, and holds some that are called like parts of one (`train`, `val`), is
    read as the set of all of them.

    Args:
        folder: where it lies.
        labels: the classes; None takes the folder's own label map, or makes one of the labels.

    Raises:
        InputError: the folder is missing or empty, or something in it cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name the one that holds the labelled pictures")
    if not any(folder.iterdir()):
        raise InputError(f"{folder} is empty; it should hold pictures and their annotations")
    own = find_label_map(folder)
    readings = _readings(folder, own or labels)
    maps = {folder: own} if own is not None else {}
    if not readings:
        for part in _parts(folder):
            of_part = find_label_map(part)
            if read := _readings(part, of_part or own or labels):
                readings += [_named(reading, part.name) for reading in read]
                maps |= {part: of_part} if of_part is not None else {}
    if not readings:
        raise InputError(_unknown(folder))
    taken = labels or own or _agreed(maps)
    if taken is not None:
        for found in maps.values():
            taken = with_other_names(taken, found)
    dataset = collect(readings, taken)
    return replace(dataset, notes=(*dataset.notes, *_notes_on_gaps(maps, dataset.labels)))


def _notes_on_gaps(maps: dict[Path, LabelMap], taken: LabelMap) -> list[str]:
    """What to say of label maps whose ids are not those that the classes have."""
    return [
        f"the ids in {folder / LABEL_MAP} leave gaps; the model's run from {FIRST_CLASS_ID} to {len(taken)}"
        for folder, labels in maps.items()
        if labels.numbers is not None
    ]


def _parts(folder: Path) -> list[Path]:
    """The folders in it, or in its images/, that are called like a part of a data set."""
    below = [path for path in (folder, folder / IMAGES) if path.is_dir()]
    folders = sorted(path for place in below for path in place.iterdir() if path.is_dir())
    return [path for path in folders if is_part(path.name)]


def _named(reading: Reading, part: str) -> Reading:
    """A part's reading, whose pictures tell which part they are of."""
    return replace(reading, parts=reading.parts or (part,) * len(reading.found))


def _agreed(maps: dict[Path, LabelMap]) -> LabelMap | None:
    """The one label map of all parts that have one.

    Raises:
        InputError: they have several.
    """
    if len({found.names for found in maps.values()}) > 1:
        told = "; ".join(f"{place / LABEL_MAP} has {', '.join(found)}" for place, found in maps.items())
        raise InputError(f"the parts have other classes: {told}")
    return next(iter(maps.values()), None)


def _readings(folder: Path, numbered: LabelMap | None) -> list[Reading]:
    """What is read of a folder, nothing where it is no data set itself.

    Args:
        folder: where it lies.
        numbered: the classes by which records number their objects.
    """
    # Imported here: the other formats can be read without TensorFlow's start.
    from sightline_training import records

    if shards := records.find(folder):
        return [records.read_files(shards, numbered)]
    if files := coco.find(folder):
        return _coco_readings(files, folder)
    names_file, halves = yolo.find(folder), voc.find(folder)
    # A bare list lies beside labelImg's XML too, where somebody has tried both; what labels more is meant.
    if names_file and halves and yolo.is_list(names_file) and voc.count(halves[1]) > yolo.count(folder):
        names_file = None
    if names_file is not None:
        return [yolo.read_folder(folder, names_file)]
    return [voc.read_folder(*halves)] if halves is not None else []


def _coco_readings(files: list[Path], folder: Path) -> list[Reading]:
    """Several files are one for each part, by their names."""
    if len(files) == 1:
        return [coco.read_file(files[0], folder)]
    told = [set(_PART_IN_NAME.findall(path.stem.lower())) for path in files]
    each_its_own = all(len(words) == 1 for words in told) and len(set(chain(*told))) == len(files)
    if not each_its_own:
        names = ", ".join(path.name for path in files)
        raise InputError(f"{folder} holds several COCO files ({names}); leave the one that is meant")
    return [_named(coco.read_file(path, folder), path.stem) for path in files]


def _is_set(folder: Path) -> bool:
    from sightline_training import records

    return any((records.find(folder), coco.find(folder), yolo.find(folder), voc.find(folder)))


def _unknown(folder: Path) -> str:
    """What to say of a folder that is no data set."""
    kinds = Counter(path.suffix.lower() or path.name for path in folder.rglob("*") if path.is_file())
    most = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))[:_TOLD]
    found = ", ".join(f"{count} {kind}" for kind, count in most) or "no file"
    sets = [path for path in sorted(folder.iterdir()) if path.is_dir() and _is_set(path)]
    name_one = f"; {' and '.join(str(path) for path in sets[:_TOLD])} can be read: name one" if sets else ""
    return (
        f"{folder} holds no labels in a layout that is known here; taken are {LAYOUTS}; "
        f"found below it: {found}{name_one}"
    )
