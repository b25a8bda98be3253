"""Options by name, as text or as JSON's values -> typed options. Every option stands in the tables below."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from sightline.errors import InvalidOptionError
from sightline.options import DetectOptions
from sightline.video import FrameOptions

FORMATS: Final = ("json", "coco", "voc", "tfod")
MOST: Final = 1_000_000_000  # of any whole number; far above what makes sense, far below what overflows
# Stricter than Python's own float() and int(), which take 1_000, digits of every script, and "nan".
_NUMBER: Final = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?")
_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60  # characters
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,30}")
Reader: TypeAlias = Callable[[str, Any], Any]  # option's name, value as sent -> typed value


def picture_options(values: Mapping[str, Any], max_detections: int) -> tuple[DetectOptions, str]:
    """The options of pictures, and the answer's format.

    Args:
        values: as sent.
        max_detections: where none is sent.

    Raises:
        InvalidOptionError: one is unknown or wrong; the text names it.
    """
    if not values:  # nearly always
        return _usual(max_detections), FORMATS[0]
    read = _read(values, PICTURE_OPTIONS)
    form = read.pop("format", FORMATS[0])
    return DetectOptions(**{"max_detections": max_detections, **read}), form


@lru_cache
def _usual(max_detections: int) -> DetectOptions:
    return DetectOptions(max_detections=max_detections)


def video_options(values: Mapping[str, Any], max_detections: int) -> tuple[DetectOptions, FrameOptions]:
    """The options of a video: which boxes, and which frames.

    Raises:
        InvalidOptionError: one is unknown or wrong; the text names it.
    """
    read = _read(values, VIDEO_OPTIONS)
    frames = {name: read.pop(name) for name in tuple(read) if name in _FRAME_OPTIONS}
    return DetectOptions(**{"max_detections": max_detections, **read}), FrameOptions(**frames)


def _read(values: Mapping[str, Any], readers: Mapping[str, Reader]) -> dict[str, Any]:
    unknown = [name for name in values if name not in readers]
    if unknown:
        raise InvalidOptionError(f"{_shown(unknown[0])} is no option here; there are {', '.join(readers)}")
    return {name: readers[name](name, value) for name, value in values.items()}


def number(name: str, value: Any) -> float:
    """A finite number, as JSON or as text has it.

    Raises:
        InvalidOptionError: it is none; the text calls it `name`.
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidOptionError(f"{name} is {_shown(value)}; it is a number")
    return float(value)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidOptionError(f"{name} is {_shown(value)}; it is a whole number")
    if abs(value) > MOST:
        raise InvalidOptionError(f"{name} is {_shown(value)}; it is at most {MOST}")
    return value


def _shown(value: Any) -> str:
    """What was sent, as much of it as helps."""
    return _SHORT.repr(value)


def _labels(name: str, value: Any) -> frozenset[str]:
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InvalidOptionError(f"{name} is {_shown(value)}; it is labels, separated by commas")
    kept = frozenset(word.strip() for word in words if word.strip())
    if not kept:
        raise InvalidOptionError(f"{name} names no label")
    return kept


def _format(name: str, value: Any) -> str:
    if value not in FORMATS:
        raise InvalidOptionError(f"{name} is {_shown(value)}; it is one of {', '.join(FORMATS)}")
    return str(value)


_DETECT_OPTIONS: Final[Mapping[str, Reader]] = {
    "threshold": number,
    "max_detections": _whole,
    "classes": _labels,
}
_FRAME_OPTIONS: Final[Mapping[str, Reader]] = {
    "fps": number,
    "every": _whole,
    "start": number,
    "end": number,
}
PICTURE_OPTIONS: Final[Mapping[str, Reader]] = {**_DETECT_OPTIONS, "format": _format}
VIDEO_OPTIONS: Final[Mapping[str, Reader]] = {**_DETECT_OPTIONS, **_FRAME_OPTIONS}
