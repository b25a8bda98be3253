"""What a worker is given and what it gives back; plain values that can be sent to another machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sightline.batch.sources import Source


@dataclass(frozen=True, slots=True)
class PicturesTask:
    """Look at some pictures, sent together."""

    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class SegmentTask:
    """Look at a part of a video."""

    source: Source
    index: int  # of the part, from 0
    of: int  # parts in all
    start: float  # seconds
    end: float | None  # seconds; None for the last part, which goes to the end whatever the container says


Task: TypeAlias = PicturesTask | SegmentTask


@dataclass(frozen=True, slots=True)
class Example:
    """A picture that the model is unsure of, for a person to label."""

    priority: float  # 0 to 1; the surest sign of a mistake is 1
    reason: str  # a word
    fingerprint: int  # 64 bits; pictures that look alike differ in few of them
    title: str  # tells a person where it is from; safe in a file name
    jpeg: bytes
    result: dict[str, Any]  # `Result.to_dict()`, what the model believes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one picture, or of one part of a video."""

    source: Source
    lines: bytes = b""  # NDJSON
    error: dict[str, Any] | None = None  # a problem document, where the input could not be read
    part: int = 0
    parts: int = 1
    passed: int = 0  # frames that the part went through, looked at or not
    warning: str | None = None  # where the input was looked at, but perhaps not all that it once was
    examples: tuple[Example, ...] = field(default=())
