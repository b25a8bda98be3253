"""COCO JSON: one file for all pictures."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, Final

from sightline.errors import InputError
from sightline_training.annotations.reading import Labelled, collect
from sightline_training.examples import Dataset, LabelledBox, LeftOut
from sightline_training.labels import LabelMap
from sightline_training.layout import ANNOTATIONS, IMAGES

_TABLES: Final = ("images", "annotations", "categories")


def find(folder: Path) -> list[Path]:
    """The files of a folder that hold COCO annotations."""
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
        tables = json.loads(path.read_text(encoding="utf-8"))
        categories = {int(item["id"]): str(item["name"]) for item in tables["categories"]}
        boxes: dict[Any, list[dict[str, Any]]] = {}
        for annotation in tables["annotations"]:
            boxes.setdefault(annotation["image_id"], []).append(
                {**annotation, "name": categories[annotation["category_id"]]}
            )
        found, left_out = [], []
        for image in tables["images"]:
            picture = _picture(folder, image["file_name"])
            if picture is None:
                left_out.append(LeftOut(image["file_name"], f"there is no such picture below {folder}"))
                continue
            reader = partial(_objects, boxes.get(image["id"], []), image)
            size = (image["width"], image["height"]) if "width" in image and "height" in image else None
            found.append(Labelled(picture.stem, picture, reader, size))
    except (ValueError, KeyError, TypeError) as fault:
        raise InputError(f"{path} is no COCO annotation file: {fault!r}") from None
    ordered = LabelMap(tuple(categories[number] for number in sorted(categories))) if categories else None
    return collect(found, labels or ordered, left_out=left_out)


def _objects(
    annotations: list[dict[str, Any]], image: dict[str, Any], width: int, height: int
) -> tuple[LabelledBox, ...]:
    """Boxes are divided by the size that the file gives, in whose pixels they were drawn."""
    wide, high = image.get("width") or width, image.get("height") or height
    boxes = []
    for item in annotations:
        x, y, w, h = (float(number) for number in item["bbox"])
        crowd = bool(item.get("iscrowd", 0))
        boxes.append(LabelledBox(item["name"], y / high, x / wide, (y + h) / high, (x + w) / wide, crowd))
    return tuple(boxes)


def _picture(folder: Path, name: str) -> Path | None:
    places = (folder / name, folder / IMAGES / name, *sorted(folder.glob(f"*/{Path(name).name}")))
    return next((path for path in places if path.is_file()), None)


def _is_coco(path: Path) -> bool:
    try:
        tables = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return False
    return isinstance(tables, dict) and all(isinstance(tables.get(name), list) for name in _TABLES)
