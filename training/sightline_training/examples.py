"""One labelled picture, whatever format it was read from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline_training.labels import LabelMap


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """One object in a picture."""

    label: str
    ymin: float  # 0 to 1 of the upright picture
    xmin: float
    ymax: float
    xmax: float
    difficult: bool = False  # VOC's flag, or COCO's crowd: neither asked for nor held against a detector


@dataclass(frozen=True, slots=True)
class Example:
    """A picture on disk and what is in it."""

    name: str  # unique in its data set; the file's name as a rule
    path: Path
    width: int  # pixels of the upright picture
    height: int
    boxes: tuple[LabelledBox, ...] = ()
    declared: tuple[int, int] | None = None  # width, height that the annotation gives, where it gives any
    data: bytes | None = field(default=None, repr=False)  # the encoded picture, where `path` is no file

    def read(self) -> bytes:
        """The encoded picture."""
        return self.path.read_bytes() if self.data is None else self.data

    def digest(self) -> str:
        """SHA-256 of the encoded picture, in hexadecimal."""
        return hashlib.sha256(self.read()).hexdigest()

    def corners(self) -> NDArray[np.float32]:
        """The boxes as float32 [n, 4], ymin xmin ymax xmax, 0 to 1."""
        rows = [(box.ymin, box.xmin, box.ymax, box.xmax) for box in self.boxes]
        return np.array(rows, np.float32).reshape(-1, 4)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something in a data set that is not used, and why."""

    name: str  # of the picture or annotation
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Examples with the classes they show."""

    labels: LabelMap
    examples: tuple[Example, ...]
    left_out: tuple[LeftOut, ...] = ()
    spellings: Mapping[str, Mapping[str, int]] = field(
        default_factory=dict
    )  # class -> label as written -> boxes
    notes: tuple[str, ...] = ()  # what a reader should know of how it was read

    def subset(self, names: Iterable[str]) -> Dataset:
        """The examples of these names, in the order of this data set."""
        wanted = set(names)
        kept = tuple(example for example in self.examples if example.name in wanted)
        return Dataset(self.labels, kept)

    def fingerprint(self) -> str:
        """A SHA-256 over pictures and boxes: equal for equal data, wherever it lies on disk."""
        digest = hashlib.sha256(repr(self.labels.names).encode())
        for example in sorted(self.examples, key=lambda item: item.name):
            digest.update(example.name.encode())
            digest.update(bytes.fromhex(example.digest()))
            digest.update(repr(example.boxes).encode())
        return digest.hexdigest()
