"""A few pictures and the boxes that the model gave for them when it was exported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.contract import (
    GOLDEN_FILE,
    OUTPUT_BOXES,
    OUTPUT_CLASSES,
    OUTPUT_COUNT,
    OUTPUT_SCORES,
)

_DIGITS: Final = 6


def write_golden(folder: Path, pixels: NDArray[np.uint8], found: Mapping[str, NDArray[np.float32]]) -> None:
    """Write pictures and boxes.

    The pictures are PNG at the model's input size, so that neither a decoder nor a resize stands between
    them and the boxes.

    Args:
        folder: where to.
        pixels: uint8 [n, H, W, 3] RGB.
        found: the contract's outputs for them.
    """
    folder.mkdir(parents=True)
    pictures: list[dict[str, Any]] = []
    for number, picture in enumerate(pixels):
        name = f"{number}.png"
        ok, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if not ok:
            raise ValueError(f"OpenCV cannot encode an array of shape {picture.shape}")
        (folder / name).write_bytes(data.tobytes())
        count = int(found[OUTPUT_COUNT][number])
        outputs = {
            key: np.round(found[key][number, :count].astype(float), _DIGITS).tolist()
            for key in (OUTPUT_BOXES, OUTPUT_SCORES, OUTPUT_CLASSES)
        }
        pictures.append({"file": name, **outputs})
    text = json.dumps({"pictures": pictures}, indent=1)
    (folder / GOLDEN_FILE).write_text(text, encoding="utf-8")
