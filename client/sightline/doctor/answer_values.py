"""The numbers in an answer against the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sightline.contract import (
    FIRST_CLASS_ID,
    OUTPUT_BOXES,
    OUTPUT_CLASSES,
    OUTPUT_COUNT,
    OUTPUT_SCORES,
)
from sightline.doctor.probe import Outputs

_ROUNDING: Final = 1e-4  # of scores and normalised coordinates
_PIXELS_FROM: Final = 2.0  # a coordinate above it is in pixels: normalised ones end near 1


def value_faults(answers: Sequence[Outputs], labels: Mapping[int, str] | None) -> list[str]:
    """What is wrong, each kind once.

    Args:
        answers: one picture each, the contract's outputs.
        labels: class id -> label; None where there is no card to hold the classes against.
    """
    faults = (fault for answer in answers for fault in _faults(answer, labels))
    return list(dict.fromkeys(faults))


def _faults(answer: Outputs, labels: Mapping[int, str] | None) -> Iterator[str]:
    boxes, scores, classes = (answer[name][0] for name in (OUTPUT_BOXES, OUTPUT_SCORES, OUTPUT_CLASSES))
    count = float(answer[OUTPUT_COUNT][0])
    slots = len(scores)
    if not all(np.isfinite(values).all() for values in (boxes, scores, classes)):
        yield "there are numbers that are not finite"
        return
    if count != int(count) or not 0 <= count <= slots:
        yield f"{OUTPUT_COUNT} is {count:g}, of {slots} slots"
        return
    used = int(count)
    yield from _box_faults(boxes[:used])
    yield from _score_faults(scores[:used])
    yield from _class_faults(classes[:used], labels)
    if any(np.any(values[used:]) for values in (boxes, scores, classes)):
        yield f"slots past {OUTPUT_COUNT} are not zero"


def _box_faults(boxes: NDArray[Any]) -> Iterator[str]:
    if not boxes.size:
        return
    if boxes.max() > _PIXELS_FROM:
        yield f"{OUTPUT_BOXES} are in pixels, not 0 to 1"  # no number: each picture has its own
    elif boxes.max() > 1 + _ROUNDING or boxes.min() < -_ROUNDING:
        yield f"{OUTPUT_BOXES} reach outside 0 to 1"
    if (boxes[:, 2:] < boxes[:, :2] - _ROUNDING).any():
        yield f"{OUTPUT_BOXES} have a far corner before the near one: not ymin xmin ymax xmax"


def _score_faults(scores: NDArray[Any]) -> Iterator[str]:
    if scores.size and (scores.min() < -_ROUNDING or scores.max() > 1 + _ROUNDING):
        yield f"{OUTPUT_SCORES} reach outside 0 to 1: logits?"
    if (np.diff(scores) > _ROUNDING).any():
        yield f"{OUTPUT_SCORES} do not fall"


def _class_faults(classes: NDArray[Any], labels: Mapping[int, str] | None) -> Iterator[str]:
    if (classes != np.round(classes)).any():
        yield f"{OUTPUT_CLASSES} are not whole numbers"
        return
    given = sorted({int(value) for value in classes.tolist()})
    low = [value for value in given if value < FIRST_CLASS_ID]
    if low:
        yield f"{OUTPUT_CLASSES} hold {low[0]}: ids begin at {FIRST_CLASS_ID}"
    if labels is not None:
        unknown = [value for value in given if value >= FIRST_CLASS_ID and value not in labels]
        if unknown:
            named = ", ".join(map(str, sorted(labels)))
            yield f"{OUTPUT_CLASSES} hold {unknown[0]}, and the card names {named} only"
