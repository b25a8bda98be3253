"""Pictures that probably miss a label: the fault that costs a detector most, and that nothing else shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

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
        for name in group:
            own = _labels(by_name[name])
            for other in group:
                missing = _labels(by_name[other]) - own
                if missing and _same_view(by_name[name], by_name[other]):
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


def _same_view(one: Example, other: Example) -> bool:
    first, second = (cv2.cvtColor(load_picture(e, _READ), cv2.COLOR_RGB2GRAY).ravel() for e in (one, other))
    return float(np.corrcoef(first, second)[0, 1]) >= _SAME_VIEW
