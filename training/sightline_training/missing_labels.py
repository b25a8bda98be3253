"""Pictures that probably miss a label: the fault that costs a detector most, and that nothing else shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.geometry import Stretch
from sightline_training.examples import Dataset, Example
from sightline_training.findings import Findings, Found
from sightline_training.pictures import load_picture

_SURE: Final = 0.6  # score from which a detection without a label suggests that the label is missing
_READ: Final = Stretch(32, 32)  # pixels at which two pictures are held against each other
_SAME_VIEW: Final = 0.8  # correlation of their brightness from which they show the same things


@dataclass(frozen=True, slots=True)
class MissingLabel:
    """A picture and what it probably lacks."""

    name: str  # of the picture
    reason: str
    found: Found | None = None  # the detection that has no label, where a detector was asked


def told_by_duplicates(dataset: Dataset, groups: Sequence[Sequence[str]]) -> list[MissingLabel]:
    """Near-duplicates whose labels differ in number or kind.

    Args:
        dataset: the pictures.
        groups: names of those that are nearly the same. They were grouped to be kept on one side of a
            split, where grouping too much does no harm; here two are held against each other once more.
    """
    by_name = {example.name: example for example in dataset.examples}
    found = []
    for group in groups:
        view = cache(lambda name: _view(by_name[name]))  # of a long group each is asked for many times
        for name in group:
            own = _labels(by_name[name])
            for other in group:
                missing = _labels(by_name[other]) - own
                if missing and _same_view(view(name), view(other)):
                    listed = " and ".join(f"{count} {label}" for label, count in sorted(missing.items()))
                    found.append(
                        MissingLabel(name, f"its near-duplicate {other} has {listed} more than it has")
                    )
                    break
    return found


def told_by_detector(dataset: Dataset, findings: Findings) -> list[MissingLabel]:
    """Detections that are sure and lie on no label, the surest first."""
    return [
        MissingLabel(
            dataset.examples[item.picture].name,
            f"the detector is sure of a {findings.labels[item.class_id]} without a label ({item.score:.2f})",
            item,
        )
        for item in findings.found
        if item.meant is None and not item.ignored and item.score >= _SURE
    ]


def _labels(example: Example) -> Counter[str]:
    return Counter(box.label for box in example.boxes)


def _view(example: Example) -> NDArray[np.uint8]:
    """A picture's brightness, small and in a row."""
    return np.asarray(cv2.cvtColor(load_picture(example, _READ), cv2.COLOR_RGB2GRAY), np.uint8).ravel()


def _same_view(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    return float(np.corrcoef(one, other)[0, 1]) >= _SAME_VIEW
