"""What a data set is worth, before an hour is spent on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sightline.image_header import read_header
from sightline_training.annotations.frames import drawn_before_turn
from sightline_training.duplicates import near_groups
from sightline_training.examples import Dataset, Example, LeftOut
from sightline_training.findings import Findings
from sightline_training.missing_labels import MissingLabel, told_by_detector, told_by_duplicates

_SUFFIXES: Final = {
    "JPEG": {".jpg", ".jpeg"},
    "PNG": {".png"},
    "WebP": {".webp"},
    "BMP": {".bmp"},
    "GIF": {".gif"},
}
_QUANTILES: Final = (0.0, 0.5, 1.0)  # smallest, median, largest


@dataclass(frozen=True, slots=True)
class Spread:
    """Smallest, median and largest of something."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """NaN where there are no values."""
        if not values:
            return cls(float("nan"), float("nan"), float("nan"))
        return cls(*(float(number) for number in np.quantile(values, _QUANTILES)))


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found."""

    dataset: Dataset
    pictures_of: Mapping[str, int]  # class -> pictures that show it
    boxes_of: Mapping[str, int]  # class -> boxes
    empty: int  # pictures without a box
    sides: Spread  # pixels of pictures' shorter sides
    shapes: Spread  # width to height of pictures
    box_sides: Spread  # square root of a box's share of its picture
    box_shapes: Spread  # width to height of boxes
    groups: tuple[tuple[str, ...], ...]  # names of pictures that are nearly the same
    torn: tuple[tuple[str, str], ...]  # pictures here that are nearly the same as one in the other set
    aliases: Mapping[str, str]  # label as written -> the class it is taken for
    problems: tuple[LeftOut, ...]  # used, but worth a look
    missing: tuple[MissingLabel, ...]  # pictures that probably miss a label
    left_out: tuple[LeftOut, ...]  # not used


def inspect(
    dataset: Dataset, *, against: Dataset | None = None, findings: Findings | None = None
) -> Inspection:
    """Look a data set over.

    Args:
        dataset: the pictures.
        against: another set, such as the test set, from which scenes should be kept apart.
        findings: what a trained detector finds on `dataset`, to tell where labels may be missing.
    """
    examples = dataset.examples
    boxes = [(box, example) for example in examples for box in example.boxes]
    groups = [[examples[index].name for index in group] for group in near_groups(examples) if len(group) > 1]
    shapes = [
        (box.xmax - box.xmin) * example.width / ((box.ymax - box.ymin) * example.height)
        for box, example in boxes
    ]
    return Inspection(
        dataset=dataset,
        pictures_of=_ordered(dataset, (label for e in examples for label in {box.label for box in e.boxes})),
        boxes_of=_ordered(dataset, (box.label for box, _ in boxes)),
        empty=sum(not example.boxes for example in examples),
        sides=Spread.of([min(example.width, example.height) for example in examples]),
        shapes=Spread.of([example.width / example.height for example in examples]),
        box_sides=Spread.of([((b.ymax - b.ymin) * (b.xmax - b.xmin)) ** 0.5 for b, _ in boxes]),
        box_shapes=Spread.of(shapes),
        groups=tuple(tuple(group) for group in groups),
        torn=_torn(dataset, against),
        aliases={
            written: name
            for name, spellings in dataset.spellings.items()
            for written in spellings
            if written != name
        },
        problems=tuple(problem for example in examples for problem in _problems(example)),
        missing=(
            *told_by_duplicates(dataset, groups),
            *(told_by_detector(dataset, findings) if findings else ()),
        ),
        left_out=dataset.left_out,
    )


def _ordered(dataset: Dataset, labels: Iterable[str]) -> dict[str, int]:
    counts = Counter(labels)
    return {name: counts[name] for name in dataset.labels}


def _problems(example: Example) -> list[LeftOut]:
    """What is odd about one picture."""
    header = read_header(example.read())
    found = []
    suffix = example.path.suffix.lower()
    if suffix and example.data is None and suffix not in _SUFFIXES[header.format]:
        found.append(LeftOut(example.name, f"it is named {suffix} and is a {header.format}"))
    upright = (example.width, example.height)
    if example.declared is not None and example.declared != upright:
        said = "{} x {}".format(*example.declared)
        if drawn_before_turn(header, example.declared):
            reason = f"its boxes were drawn on {said} pixels before EXIF's turn, and are turned along"
        else:
            reason = f"its annotation says {said}, the picture is {upright[0]} x {upright[1]}"
        found.append(LeftOut(example.name, reason))
    return found


def _torn(dataset: Dataset, against: Dataset | None) -> tuple[tuple[str, str], ...]:
    """Pairs of near-duplicates, one here and one in the other set."""
    if against is None:
        return ()
    here = len(dataset.examples)
    together = (*dataset.examples, *against.examples)
    pairs = []
    for group in near_groups(together):
        ours, theirs = [n for n in group if n < here], [n for n in group if n >= here]
        pairs += [(together[one].name, together[theirs[0]].name) for one in ours if theirs]
    return tuple(pairs)
