"""Boxes onto pixels."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.detections import Detection

_GOLDEN_ANGLE: Final = 0.381966  # of a turn: hues of consecutive classes lie far apart
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_LUMA: Final = (0.299, 0.587, 0.114)  # what red, green and blue weigh to the eye (ITU-R BT.601)
_BRIGHT: Final = 110  # luma from which black ink reads better than white
_REFERENCE: Final = 640  # pixels of the longer side at which lines are two pixels and text is at half scale


def color_of(class_id: int) -> tuple[int, int, int]:
    """The RGB color of a class, the same in every picture."""
    red, green, blue = colorsys.hsv_to_rgb(class_id * _GOLDEN_ANGLE % 1, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw(pixels: NDArray[np.uint8], detections: Iterable[Detection]) -> NDArray[np.uint8]:
    """Draw boxes with label and score on a copy of the picture.

    Args:
        pixels: uint8 [h, w, 3] RGB, upright; its size may differ from the one that the boxes were
            found on, because the normalised coordinates are used.
        detections: what to draw; the best scores are drawn last, on top.
    """
    canvas = np.ascontiguousarray(pixels).copy()
    height, width = canvas.shape[:2]
    scale = max(height, width) / _REFERENCE
    line = max(1, round(2 * scale))
    for found in sorted(detections, key=lambda item: item.score):
        ymin, xmin, ymax, xmax = found.box_normalized
        left, top = round(xmin * width), round(ymin * height)
        right, bottom = round(xmax * width), round(ymax * height)
        color = color_of(found.class_id)
        cv2.rectangle(canvas, (left, top), (right, bottom), color, line, cv2.LINE_AA)
        _tag(canvas, f"{found.label}  {found.score:.2f}", (left, top), color, scale)
    return canvas


def _tag(
    canvas: NDArray[np.uint8], text: str, corner: tuple[int, int], color: tuple[int, int, int], scale: float
) -> None:
    """Write text on a filled strip above the corner, or below it where there is no room above."""
    size, thickness = 0.5 * max(scale, 0.6), max(1, round(scale))
    (text_width, text_height), base = cv2.getTextSize(text, _FONT, size, thickness)
    margin = max(2, round(4 * scale))
    strip, length = text_height + base + 2, text_width + 2 * margin
    left = max(0, min(corner[0], canvas.shape[1] - length))
    top = corner[1] - strip if corner[1] >= strip else corner[1]
    cv2.rectangle(canvas, (left, top), (left + length, top + strip), color, cv2.FILLED)
    luma = sum(weight * channel for weight, channel in zip(_LUMA, color, strict=True))
    ink = (0, 0, 0) if luma > _BRIGHT else (255, 255, 255)
    origin = (left + margin, top + text_height + 1)
    cv2.putText(canvas, text, origin, _FONT, size, ink, thickness, cv2.LINE_AA)
