"""The pictures in a version and the boxes that its model gave for them when it was exported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sightline.contract import (
    ASSETS_EXTRA,
    FIRST_CLASS_ID,
    GOLDEN_FILE,
    GOLDEN_FOLDER,
    OUTPUT_BOXES,
    OUTPUT_CLASSES,
    OUTPUT_SCORES,
)
from sightline.counted import counted
from sightline.doctor.box_arrays import BoxArrays
from sightline.doctor.folders import VersionFolder
from sightline.doctor.results import CheckResult
from sightline.errors import SightlineError
from sightline.images import decode

GOLDEN: Final = "golden-pictures"
_RIGHT: Final = (
    f"{ASSETS_EXTRA}/{GOLDEN_FOLDER}/{GOLDEN_FILE} and its pictures, at input size, as the export wrote them"
)


@dataclass(frozen=True, slots=True)
class GoldenPicture:
    """A picture and its boxes."""

    name: str  # of the file
    pixels: NDArray[np.uint8]  # [H, W, 3] RGB at input size
    expected: BoxArrays


def read_golden(folder: Path) -> list[GoldenPicture]:
    """Read a golden folder.

    Raises:
        ValueError: a file is missing or unsound; the message says which.
    """
    try:
        plain = json.loads((folder / GOLDEN_FILE).read_bytes())
        return [_picture(folder, item) for item in plain["pictures"]]
    except FileNotFoundError as fault:
        raise ValueError(f"there is no {GOLDEN_FOLDER}/{Path(fault.filename).name}") from fault
    except (KeyError, TypeError) as fault:
        raise ValueError(f"{GOLDEN_FILE} is not as the export writes it: {fault!r}") from fault
    except json.JSONDecodeError as fault:
        raise ValueError(f"{GOLDEN_FILE} is no JSON: {fault}") from fault


def _picture(folder: Path, item: dict[str, Any]) -> GoldenPicture:
    name = str(item["file"])
    try:
        pixels = decode((folder / name).read_bytes()).pixels
    except SightlineError as fault:
        raise ValueError(f"{name}: {fault.detail}") from fault
    boxes = np.array(item[OUTPUT_BOXES], np.float32).reshape(-1, 4)
    scores = np.array(item[OUTPUT_SCORES], np.float32)
    classes = np.array(item[OUTPUT_CLASSES], np.int64)
    if not len(boxes) == len(scores) == len(classes):
        raise ValueError(f"{name} has {len(boxes)} boxes, {len(scores)} scores and {len(classes)} classes")
    return GoldenPicture(name, pixels, BoxArrays(boxes, scores, classes))


def check_golden(
    folder: VersionFolder, size: tuple[int, int] | None
) -> tuple[CheckResult, Sequence[GoldenPicture]]:
    """Look at the pictures and their boxes; also give them, to be asked for again."""
    about = folder.subject
    place = folder.path / ASSETS_EXTRA / GOLDEN_FOLDER
    if not place.is_dir():
        return about.failed(GOLDEN, f"there is no {ASSETS_EXTRA}/{GOLDEN_FOLDER}", _RIGHT), ()
    try:
        pictures = read_golden(place)
    except ValueError as fault:
        return about.failed(GOLDEN, str(fault), _RIGHT), ()
    faults = [] if pictures else [f"{GOLDEN_FILE} lists no picture"]
    for picture in pictures:
        height, width = picture.pixels.shape[:2]
        if size is not None and (height, width) != size:
            faults.append(f"{picture.name} is {height} x {width}, the input {size[0]} x {size[1]}")
        found = picture.expected
        if found.boxes.size and not (found.boxes.min() >= 0 and found.boxes.max() <= 1):
            faults.append(f"{picture.name} has boxes outside 0 to 1")
        if found.scores.size and not (found.scores.min() >= 0 and found.scores.max() <= 1):
            faults.append(f"{picture.name} has scores outside 0 to 1")
        if found.classes.size and found.classes.min() < FIRST_CLASS_ID:
            faults.append(f"{picture.name} has classes below {FIRST_CLASS_ID}")
    boxes = sum(len(picture.expected.scores) for picture in pictures)
    told = f"{counted(len(pictures), 'picture')}, {counted(boxes, 'box', 'boxes')}"
    return about.judged(GOLDEN, faults, told, _RIGHT), () if faults else pictures
