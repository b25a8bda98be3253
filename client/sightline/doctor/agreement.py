"""How well two answers for one picture agree, as one number."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sightline.doctor.box_arrays import BoxArrays

COMPARED_FROM: Final = 0.05  # score; below, a box may come and go with the last digit
MOST_COMPARED: Final = 20  # boxes of a picture, the best
SAME_PLACE: Final = 1e-3  # of the picture's side: corners nearer than that are one
SAME: Final = 0.97  # agreement from which answers are one: other hardware and decoders move boxes a little


def agreement(one: BoxArrays, other: BoxArrays) -> float:
    """0 (nothing in common) to 1 (the same boxes): each box's best partner, the worse of both directions.

    A partner has the same class; how good it is, is its overlap (IoU) times the likeness of the scores.
    """
    first, second = _best(one), _best(other)
    if not len(first.scores) or not len(second.scores):
        return float(len(first.scores) == len(second.scores))
    apart = np.abs(first.boxes[:, None] - second.boxes[None]).max(axis=2)
    # A box without area overlaps with nothing, not even itself; a model that has learnt nothing gives such.
    overlap = np.maximum(_iou(first.boxes, second.boxes), apart <= SAME_PLACE)
    likeness = 1 - np.abs(first.scores[:, None] - second.scores[None])
    same_class = first.classes[:, None] == second.classes[None]
    pairs = overlap * likeness * same_class
    forth = np.average(pairs.max(axis=1), weights=first.scores)
    back = np.average(pairs.max(axis=0), weights=second.scores)
    return float(min(forth, back))


def comparable(found: BoxArrays) -> bool:
    """Whether there is a box to compare."""
    return len(_best(found).scores) > 0


def _best(found: BoxArrays) -> BoxArrays:
    kept = np.flatnonzero(found.scores >= COMPARED_FROM)[:MOST_COMPARED]
    return BoxArrays(found.boxes[kept], found.scores[kept], found.classes[kept])


def _iou(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of boxes [n, 4] and [m, 4], ymin xmin ymax xmax: [n, m]."""
    top_left = np.maximum(one[:, None, :2], other[None, :, :2])
    bottom_right = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), np.float32)
