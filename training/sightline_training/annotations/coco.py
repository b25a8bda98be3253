"""COCO JSON: one file for all pictures."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, Final

from sightline.errors import InputError
from sightline_training.aliases import distinct
from sightline_training.annotations.reading import Labelled, collect, read_text
from sightline_training.examples import Dataset, LabelledBox, LeftOut
from sightline_training.labels import LabelMap
from sightline_training.layout import ANNOTATIONS, IMAGES

_TABLES: Final = ("images", "annotations", "categories")


def find(folder: Path) -> list[Path]:
    """The files of a folder that hold COCO annotations.

    Raises:
        InputError: one of them is no JSON.
    """
    candidates = [*sorted(folder.glob("*.json")), *sorted((folder / ANNOTATIONS).glob("*.json"))]
    return [path for path in candidates if _is_coco(path)]


def read_file(path: Path, folder: Path, labels: LabelMap | None) -> Dataset:
    """Read a file and the pictures that it names, which lie in `folder` or its images/.

    Without a label map the categories are numbered from 1 in the order of their ids, which in COCO's own
    files leave gaps.

    Raises:
        InputError: the file lacks a table or field, or as `collect`.
    """
    try:
        tables = json.loads(read_text(path))
        categories = {int(item["id"]): str(item["name"]) for item in tables["categories"]}
        boxes: dict[Any, list[dict[str, Any]]] = {}
        for annotation in tables["annotations"]:
            category = annotation["category_id"]
            if category not in categories:
                raise InputError(
                    f"{path}: annotation {annotation.get('id')} is of the category {category}, which it lacks"
                )
            boxes.setdefault(annotation["image_id"], []).append({**annotation, "name": categories[category]})
        found: list[Labelled] = []
        lost = boxes.keys() - {image["id"] for image in tables["images"]}
        left_out = [
            LeftOut(f"{len(boxes[number])} boxes", f"their image_id {number!r} is that of no image")
            for number in sorted(lost, key=str)
        ]
        for image in tables["images"]:
            picture = _picture(folder, image["file_name"])
            if picture is None:
                left_out.append(LeftOut(image["file_name"], f"there is no such picture below {folder}"))
                continue
            size = None
            if "width" in image and "height" in image:
                size = int(image["width"]), int(image["height"])
            reader = partial(_objects, boxes.get(image["id"], []), size)
            found.append(Labelled(picture.stem, picture, reader, size))
    except (ValueError, KeyError, TypeError) as fault:
        raise InputError(f"{path} is no COCO annotation file: {fault!r}") from None
    names = distinct(categories[number] for number in sorted(categories))
    ordered = LabelMap(names) if names else None
    return collect(found, labels or ordered, left_out=left_out)


def _objects(
    annotations: list[dict[str, Any]], size: tuple[int, int] | None, width: int, height: int
) -> tuple[LabelledBox, ...]:
    """Boxes are divided by the size that the file gives, in whose pixels they were drawn."""
    wide, high = size if size and all(size) else (width, height)
    boxes = []
    for item in annotations:
        try:
            x, y, w, h = (float(number) for number in item["bbox"])
        except (KeyError, TypeError, ValueError):
            told = f"the bbox of annotation {item.get('id')} is {item.get('bbox')!r}"
            raise InputError(f"{told}, not [x, y, width, height]") from None
        crowd = bool(item.get("iscrowd", 0))
        boxes.append(LabelledBox(item["name"], y / high, x / wide, (y + h) / high, (x + w) / wide, crowd))
    return tuple(boxes)


def _picture(folder: Path, name: str) -> Path | None:
    places = (folder / name, folder / IMAGES / name, *sorted(folder.glob(f"*/{Path(name).name}")))
    return next((path for path in places if path.is_file()), None)


def _is_coco(path: Path) -> bool:
    try:
        tables = json.loads(read_text(path))
    except ValueError as fault:
        raise InputError(f"{path} is no JSON, or is cut short: {fault}") from None
    return isinstance(tables, dict) and all(isinstance(tables.get(name), list) for name in _TABLES)
