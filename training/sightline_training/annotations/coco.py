"""COCO JSON: one file for all pictures."""

from __future__ import annotations

import json
from collections import Counter
from functools import cached_property, partial
from pathlib import Path, PureWindowsPath
from typing import Any, Final

from sightline.counted import counted
from sightline.errors import InputError
from sightline_training.annotations.reading import Labelled, Reading, read_text
from sightline_training.examples import LabelledBox, LeftOut
from sightline_training.layout import ANNOTATIONS, IMAGES

_TABLES: Final = ("images", "annotations", "categories")


def find(folder: Path) -> list[Path]:
    """The files of a folder that hold COCO annotations.

    Raises:
        InputError: one of them is no JSON.
    """
    candidates = [*sorted(folder.glob("*.json")), *sorted((folder / ANNOTATIONS).glob("*.json"))]
    return [path for path in candidates if path.is_file() and _is_coco(path)]


def read_file(path: Path, folder: Path) -> Reading:
    """Read a file and the pictures that it names, which lie in `folder` or its images/.

    The classes are the categories in the order of their ids, which in COCO's own files leave gaps. All of
    them count, so that a part of a set has the classes of the whole; only a heading, which no box is of and
    others name as their supercategory, is none (Roboflow writes one).

    Raises:
        InputError: the file lacks a table or field.
    """
    try:
        tables = json.loads(read_text(path))
        _check_ids(path, tables)
        categories = {int(item["id"]): str(item["name"]) for item in tables["categories"]}
        headings = _headings(tables)
        boxes: dict[Any, list[dict[str, Any]]] = {}
        for annotation in tables["annotations"]:
            category = annotation["category_id"]
            if category not in categories:
                raise InputError(
                    f"{path}: annotation {annotation.get('id')} is of the category {category}, which it lacks"
                )
            boxes.setdefault(annotation["image_id"], []).append({**annotation, "name": categories[category]})
        lost = boxes.keys() - {image["id"] for image in tables["images"]}
        found, left_out = _pictures(tables["images"], folder, boxes)
    except KeyError as fault:
        raise InputError(f"{path} is no COCO annotation file: an entry lacks its {fault}") from None
    except (ValueError, TypeError, OverflowError) as fault:
        raise InputError(f"{path} is no COCO annotation file: {fault!r}") from None
    names = tuple(categories[number] for number in sorted(categories) if number not in headings)
    notes = tuple(
        f"the category {categories[number]!r} is a heading of others, without a box, and becomes no class"
        for number in sorted(headings)
    )
    left_out += [
        LeftOut(counted(len(boxes[number]), "box", "boxes"), f"image_id {number!r} is that of no image")
        for number in sorted(lost, key=str)
    ]
    return Reading(tuple(found), names, tuple(left_out), class_notes=notes)


def _check_ids(path: Path, tables: dict[str, Any]) -> None:
    """Refuse files that were joined without new ids: boxes would go to pictures and classes of another.

    Raises:
        InputError: naming the first id that comes twice.
    """
    for table in ("images", "categories"):
        counts = Counter(item["id"] for item in tables[table])
        twice = next((number for number, count in counts.items() if count > 1), None)
        if twice is not None:
            raise InputError(
                f"{path}: {counts[twice]} of its {table} have the id {twice!r}; give each its own"
            )


def _pictures(
    images: list[dict[str, Any]], folder: Path, boxes: dict[Any, list[dict[str, Any]]]
) -> tuple[list[Labelled], list[LeftOut]]:
    """The pictures that the file names, and those that are not used."""
    found, left_out = [], []
    places = _Places(folder)
    for image in images:
        like = places.of(image["file_name"])
        if len(like) == 1:
            size = _declared(image)
            reader = partial(_objects, boxes.get(image["id"], []), size)
            found.append(Labelled(like[0].stem, like[0], reader, size))
        elif like:
            named = " and ".join(str(path.relative_to(folder)) for path in like)
            left_out.append(LeftOut(image["file_name"], f"it may be {named}"))
        else:
            left_out.append(LeftOut(image["file_name"], f"there is no such picture below {folder}"))
    counts = Counter(item.picture for item in found)
    left_out += [
        LeftOut(path.name, f"{count} images of the file are this picture, each with a part of its boxes")
        for path, count in counts.items()
        if count > 1
    ]
    return [item for item in found if counts[item.picture] == 1], left_out


def _objects(
    annotations: list[dict[str, Any]], size: tuple[int, int] | None, width: int, height: int
) -> tuple[LabelledBox, ...]:
    """Boxes are divided by the size that the file gives, in whose pixels they were drawn."""
    wide, high = size or (width, height)
    boxes = []
    for item in annotations:
        try:
            x, y, w, h = (float(number) for number in item["bbox"])
        except (KeyError, TypeError, ValueError, OverflowError):
            told = f"the bbox of annotation {item.get('id')} is {item.get('bbox')!r}"
            raise InputError(f"{told}, not [x, y, width, height]") from None
        crowd = bool(item.get("iscrowd", 0))
        boxes.append(LabelledBox(item["name"], y / high, x / wide, (y + h) / high, (x + w) / wide, crowd))
    return tuple(boxes)


def _headings(tables: dict[str, Any]) -> set[int]:
    """The ids of categories that only hold others together; COCO's person is no other's supercategory."""
    kinds = tables["categories"]
    parents = {kind.get("supercategory") for kind in kinds if kind.get("supercategory") != kind["name"]}
    used = {annotation["category_id"] for annotation in tables["annotations"]}
    return {int(kind["id"]) for kind in kinds if kind["name"] in parents and int(kind["id"]) not in used}


def _declared(image: dict[str, Any]) -> tuple[int, int] | None:
    """Width and height that the file gives a picture; None where it gives none that can be meant."""
    try:
        width, height = int(image["width"]), int(image["height"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None


class _Places:
    """Where the pictures of a file are: where it says, or wherever below the folder one of the name is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        """The files below the folder, walked once and only where a picture is not where the file says."""
        by_name: dict[str, list[Path]] = {}
        for path in sorted(self._folder.rglob("*")):
            by_name.setdefault(path.name, []).append(path)
        return by_name

    def of(self, name: str) -> list[Path]:
        """The files that may be meant by a name."""
        windows = PureWindowsPath(name)  # takes both kinds of slash
        told = (self._folder / name, self._folder / IMAGES / name, self._folder / windows.as_posix())
        said = [path for path in told if path.is_file()]
        return said[:1] or [path for path in self._by_name.get(windows.name, []) if path.is_file()]


def _is_coco(path: Path) -> bool:
    try:
        tables = json.loads(read_text(path))
    except ValueError as fault:
        raise InputError(f"{path} is no JSON, or is cut short: {fault}") from None
    return isinstance(tables, dict) and all(isinstance(tables.get(name), list) for name in _TABLES)
