"""The COCO metric, by pycocotools, on our examples and detections."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sightline.contract import (
    DETECTION_OUTPUTS,
)
from sightline_training.examples import Dataset

_STATS: Final = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")  # as COCOeval orders them
_AR: Final = 8  # the place of average recall at 100 detections among them
_UNDEFINED: Final = -1.0  # what pycocotools says of a size or class that the pictures do not hold


@dataclass(frozen=True, slots=True)
class CocoMetrics:
    """Average precision, 0 to 1; NaN where there was nothing to find.

    Sizes are COCO's: small below 32 x 32 pixels of the picture, large from 96 x 96.
    """

    AP: float  # over IoU 0.50 to 0.95
    AP50: float
    AP75: float
    AP_small: float
    AP_medium: float
    AP_large: float
    AR: float  # average recall at 100 detections
    per_class: Mapping[str, float] = field(default_factory=dict)  # label -> AP

    def to_dict(self) -> dict[str, Any]:
        """As plain values; what is undefined is left out, since JSON has no NaN."""
        plain = asdict(self)
        plain["per_class"] = {name: value for name, value in self.per_class.items() if not math.isnan(value)}
        return {name: value for name, value in plain.items() if name == "per_class" or not math.isnan(value)}

    def flat(self) -> dict[str, float]:
        """As the model card holds them: `AP`, `AP50`, …, `AP/<label>`."""
        plain = self.to_dict()
        per_class = plain.pop("per_class")
        return {**plain, **{f"AP/{name}": value for name, value in per_class.items()}}


def measure(dataset: Dataset, found: Mapping[str, NDArray[np.float32]]) -> CocoMetrics:
    """Hold detections against the labels.

    Args:
        dataset: the pictures.
        found: the contract's four outputs for all of them, in order.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells its timings
        truth = COCO()
        truth.dataset = _truth(dataset)
        truth.createIndex()
        results = detections_as_coco(dataset, found)
        evaluation = COCOeval(truth, truth.loadRes(results) if results else COCO(), "bbox")
        evaluation.params.imgIds = list(range(len(dataset.examples)))
        evaluation.params.catIds = list(dataset.labels.by_id)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    stats = [float("nan") if value == _UNDEFINED else float(value) for value in evaluation.stats]
    named = dict(zip(_STATS, stats, strict=False))
    return CocoMetrics(**named, AR=stats[_AR], per_class=_per_class(dataset, evaluation))


def _per_class(dataset: Dataset, evaluation: COCOeval) -> dict[str, float]:
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # [IoU, recall, class], all sizes, 100 boxes
    averages = {}
    for column, name in enumerate(dataset.labels):
        defined = precision[:, :, column][precision[:, :, column] != _UNDEFINED]
        averages[name] = float(defined.mean()) if defined.size else float("nan")
    return averages


def _truth(dataset: Dataset) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, example in enumerate(dataset.examples):
        images.append({"id": number, "width": example.width, "height": example.height})
        for box in example.boxes:
            width, height = (box.xmax - box.xmin) * example.width, (box.ymax - box.ymin) * example.height
            annotations.append(
                {
                    "id": len(annotations) + 1,  # pycocotools takes 0 for "not matched"
                    "image_id": number,
                    "category_id": dataset.labels.id_of(box.label),
                    "bbox": [box.xmin * example.width, box.ymin * example.height, width, height],
                    "area": width * height,
                    "iscrowd": int(box.difficult),
                }
            )
    categories = [{"id": number, "name": name} for number, name in dataset.labels.by_id.items()]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def detections_as_coco(
    dataset: Dataset, found: Mapping[str, NDArray[np.float32]]
) -> Sequence[dict[str, Any]]:
    """Detections as COCO's result list; a picture's id is its place in the data set."""
    boxes, scores, classes, counts = (found[name] for name in DETECTION_OUTPUTS)
    results = []
    for number, example in enumerate(dataset.examples):
        for slot in range(int(counts[number])):
            ymin, xmin, ymax, xmax = (float(edge) for edge in boxes[number, slot])
            results.append(
                {
                    "image_id": number,
                    "category_id": int(classes[number, slot]),
                    "bbox": [
                        xmin * example.width,
                        ymin * example.height,
                        (xmax - xmin) * example.width,
                        (ymax - ymin) * example.height,
                    ],
                    "score": float(scores[number, slot]),
                }
            )
    return results


def predict(
    detector: Any, pixels: NDArray[np.uint8], *, batch_size: int = 16
) -> dict[str, NDArray[np.float32]]:
    """Run a detector over pictures uint8 [n, H, W, 3]: its four outputs for all of them."""
    parts = [detector(pixels[start : start + batch_size]) for start in range(0, len(pixels), batch_size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in DETECTION_OUTPUTS}
