"""Raw boxes of a served detector -> detections."""

from __future__ import annotations

from collections.abc import Mapping

from sightline.contract import DEFAULT_THRESHOLD
from sightline.detections import Detection, ImageSize
from sightline.families import RawDetections
from sightline.options import DetectOptions


def select(
    raw: RawDetections,
    size: ImageSize,
    options: DetectOptions,
    labels: Mapping[int, str],
    thresholds: Mapping[int, float],
) -> tuple[Detection, ...]:
    """Keep what the options ask for, and name it.

    Args:
        raw: one picture's boxes.
        size: of the full upright picture.
        options: the caller's; a threshold there goes before those of the card.
        labels: class id -> label; an id without one is called by its number.
        thresholds: class id -> score, from the card.
    """
    kept: list[Detection] = []
    for box, score, class_id in zip(raw.boxes, raw.scores, raw.classes, strict=True):
        threshold = options.threshold
        if threshold is None:
            threshold = thresholds.get(class_id, DEFAULT_THRESHOLD)
        if not score >= threshold:  # NaN is neither
            continue
        label = labels.get(class_id) or str(class_id)
        if options.classes is not None and label not in options.classes:
            continue
        kept.append(Detection.make(label, class_id, score, box, size))
        if len(kept) == options.max_detections:
            break
    return tuple(kept)
