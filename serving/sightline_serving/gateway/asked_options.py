"""Options by name, as text or as JSON's values -> typed options. Every option stands in the tables below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from sightline.errors import InvalidOptionError
from sightline.options import DetectOptions
from sightline.video import FrameOptions

FORMATS: Final = ("json", "coco", "voc", "tfod")
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
        return DetectOptions(max_detections=max_detections), FORMATS[0]
    read = _read(values, PICTURE_OPTIONS)
    form = read.pop("format", FORMATS[0])
    return DetectOptions(**{"max_detections": max_detections, **read}), form


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
        raise InvalidOptionError(f"{unknown[0]!r} is no option here; there are {', '.join(readers)}")
    return {name: readers[name](name, value) for name, value in values.items()}


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InvalidOptionError(f"{name} is {value!r}; it is a number") from None


def _whole(name: str, value: Any) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise InvalidOptionError(f"{name} is {value!r}; it is a whole number") from None


def _labels(name: str, value: Any) -> frozenset[str]:
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InvalidOptionError(f"{name} is {value!r}; it is labels, separated by commas")
    kept = frozenset(word.strip() for word in words if word.strip())
    if not kept:
        raise InvalidOptionError(f"{name} names no label")
    return kept


def _format(name: str, value: Any) -> str:
    if value not in FORMATS:
        raise InvalidOptionError(f"{name} is {value!r}; it is one of {', '.join(FORMATS)}")
    return str(value)


_DETECT_OPTIONS: Final[Mapping[str, Reader]] = {
    "threshold": _number,
    "max_detections": _whole,
    "classes": _labels,
}
_FRAME_OPTIONS: Final[Mapping[str, Reader]] = {
    "fps": _number,
    "every": _whole,
    "start": _number,
    "end": _number,
}
PICTURE_OPTIONS: Final[Mapping[str, Reader]] = {**_DETECT_OPTIONS, "format": _format}
VIDEO_OPTIONS: Final[Mapping[str, Reader]] = {**_DETECT_OPTIONS, **_FRAME_OPTIONS}
