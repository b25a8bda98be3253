"""The drawn data set on disk: images/, annotations/ and a label map, whole or not there at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from sightline.errors import InputError
from sightline.images import encode_jpeg
from sightline_training.annotations import voc
from sightline_training.examples import Example, LabelledBox
from sightline_training.labels import to_pbtxt
from sightline_training.layout import ANNOTATIONS, IMAGES, LABEL_MAP
from sightline_training.replacing import new_folder
from sightline_training.synthetic.scenes import DrawnDroid, Pixels, draw_scene
from sightline_training.synthetic.sprites import LABELS

_DRAWN_AS: Final = "synthetic.json"  # what the folder was drawn with, so that it can be recognised
_DRAWING: Final = 1  # rises when the drawing changes, so that older folders are not taken for it
_QUALITY: Final = 88  # of the JPEG
_THREADS: Final = 4  # OpenCV works outside the interpreter's lock


@dataclass(frozen=True, slots=True)
class SyntheticOptions:
    """Which pictures to draw. Picture i of a seed is the same whatever the count."""

    count: int = 800  # pictures
    seed: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"the number of pictures is {self.count}; it is at least 1")
        if self.seed < 0:
            raise InputError(f"the seed is {self.seed}; it is 0 or more")


def draw_picture(seed: int, index: int) -> tuple[Pixels, tuple[DrawnDroid, ...]]:
    """Picture `index` of a seed: RGB uint8 [h, w, 3] and its droids."""
    return draw_scene(np.random.default_rng([_DRAWING, seed, index]))


def draw_dataset(
    folder: Path, options: SyntheticOptions, *, progress: Callable[[int], None] = lambda _: None
) -> bool:
    """Draw a data set, unless these very pictures are there already.

    Args:
        folder: where; it appears when the last picture is written.
        options: which pictures.
        progress: told the number of pictures drawn since the last call.

    Returns:
        Whether anything was drawn.

    Raises:
        InputError: the folder is there and holds something else.
    """
    recipe = json.dumps({"drawing": _DRAWING, **asdict(options)}, sort_keys=True)
    if _holds(folder, recipe):
        return False
    if folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"{folder} holds something else than the pictures asked for; remove it or name another"
        )
    with new_folder(folder) as part:
        (part / IMAGES).mkdir()
        (part / ANNOTATIONS).mkdir()
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(lambda index: _write(part, options.seed, index), range(options.count)):
                progress(1)
        (part / LABEL_MAP).write_text(to_pbtxt(LABELS), encoding="utf-8")
        (part / _DRAWN_AS).write_text(recipe, encoding="utf-8")
    return True


def _holds(folder: Path, recipe: str) -> bool:
    try:
        return (folder / _DRAWN_AS).read_text(encoding="utf-8") == recipe
    except FileNotFoundError:
        return False


def _write(folder: Path, seed: int, index: int) -> None:
    pixels, droids = draw_picture(seed, index)
    height, width = pixels.shape[:2]
    name = f"droid-{seed}-{index:05d}"
    boxes = tuple(
        LabelledBox(item.label, item.ymin / height, item.xmin / width, item.ymax / height, item.xmax / width)
        for item in droids
    )
    example = Example(name, folder / IMAGES / f"{name}.jpg", width, height, boxes)
    example.path.write_bytes(encode_jpeg(pixels, quality=_QUALITY))
    (folder / ANNOTATIONS / f"{name}.xml").write_text(voc.to_xml(example), encoding="utf-8")
