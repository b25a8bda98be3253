"""Each detection held against the labels: right, wrong, and what was missed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sightline.contract import DEFAULT_THRESHOLD, DETECTION_OUTPUTS
from sightline_training.examples import Dataset

MATCH_IOU: Final = 0.5  # from which a detection has found a labelled box
_DECIMALS: Final = (3, 4, 5, 6)  # of a threshold: as few as tell it from the scores on both sides


@dataclass(frozen=True, slots=True)
class Found:
    """One detection and what it turned out to be."""

    picture: int  # index in the data set
    class_id: int
    score: float
    box: tuple[float, float, float, float]  # ymin xmin ymax xmax, 0 to 1
    right: bool
    meant: int | None  # class id of the labelled box upon which it lies, of whichever class
    ignored: bool = False  # it lies on a difficult box, and counts neither way


@dataclass(frozen=True, slots=True)
class Missed:
    """One labelled box and the best score that found it; 0 where nothing did."""

    picture: int
    class_id: int
    box: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision and recall of one class as the threshold falls."""

    scores: NDArray[np.float64]  # falling
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    def best_threshold(self) -> float | None:
        """The score that maximises F1, halfway to the next lower one so that it is no knife's edge.

        None where nothing was found, and no score can be better than another.
        """
        if not self.recall.max(initial=0):
            return None
        f1 = 2 * self.precision * self.recall / np.maximum(self.precision + self.recall, 1e-9)
        best = int(np.argmax(f1))
        last, below = float(self.scores[best]), float(self.scores[best + 1 : best + 2].sum())
        rounded = (round((last + below) / 2, digits) for digits in _DECIMALS)
        return next((value for value in rounded if below < value <= last), last)


@dataclass(frozen=True, slots=True)
class Findings:
    """All detections and labelled boxes of an evaluation."""

    labels: Mapping[int, str]
    found: tuple[Found, ...]  # scores falling
    boxes: tuple[Missed, ...]  # every labelled box that counts

    @classmethod
    def of(cls, dataset: Dataset, outputs: Mapping[str, NDArray[np.float32]]) -> Findings:
        """Match detections to labels as COCO does at IoU 0.5: best score first, each box found once."""
        found: list[Found] = []
        boxes: list[Missed] = []
        for picture, example in enumerate(dataset.examples):
            corners, scores, classes, counts = (outputs[name][picture] for name in DETECTION_OUTPUTS)
            truth = [dataset.labels.id_of(box.label) for box in example.boxes]
            difficult = [box.difficult for box in example.boxes]
            overlap = _iou(corners[: int(counts)], example.corners())
            best = [0.0] * len(truth)
            for slot in range(int(counts)):
                class_id, score = int(classes[slot]), float(scores[slot])
                near = [n for n in range(len(truth)) if overlap[slot, n] >= MATCH_IOU]
                own = [n for n in near if truth[n] == class_id and (difficult[n] or not best[n])]
                hit = max(own, key=lambda n: (not difficult[n], overlap[slot, n]), default=None)
                ignored = hit is not None and difficult[hit]
                if hit is not None and not ignored:
                    best[hit] = score
                over = max(near, key=lambda n: float(overlap[slot, n]), default=None)
                meant = None if over is None else truth[over]
                box = _as_tuple(corners[slot])
                right = hit is not None and not ignored
                found.append(Found(picture, class_id, score, box, right, meant, ignored))
            boxes += [
                Missed(picture, truth[n], _as_tuple(corner), best[n])
                for n, corner in enumerate(example.corners())
                if not difficult[n]
            ]
        found.sort(key=lambda item: -item.score)
        return cls(dataset.labels.by_id, tuple(found), tuple(boxes))

    def curve(self, class_id: int) -> Curve:
        """Precision and recall of a class."""
        own = [item for item in self.found if item.class_id == class_id and not item.ignored]
        right = np.cumsum([item.right for item in own], dtype=float)
        wanted = max(1, sum(box.class_id == class_id for box in self.boxes))
        scores = np.array([item.score for item in own], float)
        return Curve(scores, right / np.arange(1, len(own) + 1), right / wanted)

    def thresholds(self) -> dict[int, float]:
        """Class id -> the score that maximises F1, of the classes that were found at all."""
        best = {class_id: self.curve(class_id).best_threshold() for class_id in self.labels}
        return {class_id: score for class_id, score in best.items() if score is not None}

    def confusion(self, thresholds: Mapping[int, float]) -> NDArray[np.int64]:
        """Counts [labelled, said]; row and column 0 are the background, so [0, c] are false alarms.

        A class without a threshold is asked at the default one, as whoever reads the card does.
        """
        table = np.zeros((len(self.labels) + 1, len(self.labels) + 1), np.int64)
        for item in self.found:
            if not item.ignored and item.score >= thresholds.get(item.class_id, DEFAULT_THRESHOLD):
                said_of = item.class_id if item.right else (item.meant or 0)
                if item.right or said_of != item.class_id:  # a box found twice is a false alarm, below
                    table[said_of, item.class_id] += 1
                else:
                    table[0, item.class_id] += 1
        for box in self.boxes:
            if box.score < thresholds.get(box.class_id, DEFAULT_THRESHOLD):
                table[box.class_id, 0] += 1
        return table

    def false_alarms(self, count: int) -> list[Found]:
        """The wrong detections with the highest scores."""
        return [item for item in self.found if not item.right and not item.ignored][:count]

    def misses(self, count: int, thresholds: Mapping[int, float]) -> list[Missed]:
        """The labelled boxes found with the lowest scores, those under their threshold."""
        low = [box for box in self.boxes if box.score < thresholds.get(box.class_id, DEFAULT_THRESHOLD)]
        return sorted(low, key=lambda box: box.score)[:count]


def _as_tuple(box: NDArray[np.float32]) -> tuple[float, float, float, float]:
    ymin, xmin, ymax, xmax = (float(edge) for edge in box)
    return ymin, xmin, ymax, xmax


def _iou(rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float64]:
    """Intersection over union of boxes [R, 4] and [C, 4]: [R, C]."""
    low = np.maximum(rows[:, None, :2], columns[None, :, :2])
    high = np.minimum(rows[:, None, 2:], columns[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1, dtype=np.float64)
    areas = [np.clip(box[:, 2:] - box[:, :2], 0, None).prod(-1, dtype=np.float64) for box in (rows, columns)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-12), np.float64)
