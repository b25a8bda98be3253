"""From what the network says to the boxes that are served."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from sightline.contract import (
    DEFAULT_MAX_DETECTIONS,
    FIRST_CLASS_ID,
    OUTPUT_BOXES,
    OUTPUT_CLASSES,
    OUTPUT_COUNT,
    OUTPUT_SCORES,
)


@dataclass(frozen=True, slots=True)
class SuppressionOptions:
    """Which boxes leave the graph."""

    iou: float = 0.5  # of two boxes of one class, from which the weaker goes
    min_score: float = 0.02  # weaker ones are noise, and sorting them costs more than finding them
    max_detections: int = DEFAULT_MAX_DETECTIONS  # per picture


def suppress(corners: tf.Tensor, scores: tf.Tensor, options: SuppressionOptions) -> dict[str, tf.Tensor]:
    """Apply non-maximum suppression, class by class.

    Args:
        corners: float32 [N, A, 4], ymin xmin ymax xmax, 0 to 1.
        scores: float32 [N, A, C], 0 to 1.
        options: thresholds.

    Returns:
        The four outputs of the serving contract.
    """
    found = tf.image.combined_non_max_suppression(
        corners[:, :, None],
        scores,
        max_output_size_per_class=options.max_detections,
        max_total_size=options.max_detections,
        iou_threshold=options.iou,
        score_threshold=options.min_score,
        clip_boxes=True,
    )
    slots = tf.range(options.max_detections)[None] < found.valid_detections[:, None]
    return {
        OUTPUT_BOXES: found.nmsed_boxes,
        OUTPUT_SCORES: found.nmsed_scores,
        OUTPUT_CLASSES: tf.where(slots, found.nmsed_classes + FIRST_CLASS_ID, 0.0),
        OUTPUT_COUNT: tf.cast(found.valid_detections, tf.float32),
    }
