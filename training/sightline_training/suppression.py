"""From what the network says to the boxes that are served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import tensorflow as tf

from sightline.contract import (
    DEFAULT_MAX_DETECTIONS,
    FIRST_CLASS_ID,
    OUTPUT_BOXES,
    OUTPUT_CLASSES,
    OUTPUT_COUNT,
    OUTPUT_SCORES,
)
from sightline_training import boxes

_VOTERS: Final = 100  # surest candidates of a picture that vote; the rest would weigh next to nothing


@dataclass(frozen=True, slots=True)
class SuppressionOptions:
    """Which boxes leave the graph."""

    iou: float = 0.5  # of two boxes of one class, from which the weaker goes
    min_score: float = 0.02  # weaker ones are noise, and sorting them costs more than finding them
    max_detections: int = DEFAULT_MAX_DETECTIONS  # per picture
    rival: float = 1.0  # share of its score that a box keeps upon a surer one of another class
    vote: float | None = None  # IoU from which a candidate helps to place a kept box; None asks nobody


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
    kept = found.nmsed_boxes
    if options.vote is not None:
        kept = _voted(kept, tf.cast(found.nmsed_classes, tf.int32), corners, scores, options.vote)
    kept_scores, class_ids = found.nmsed_scores, tf.where(slots, found.nmsed_classes + FIRST_CLASS_ID, 0.0)
    if options.rival < 1:
        weaker = _outdone(kept, kept_scores, class_ids, options.iou)
        kept_scores = tf.where(weaker, options.rival * kept_scores, kept_scores)
        order = tf.argsort(kept_scores, direction="DESCENDING", stable=True)
        kept, kept_scores, class_ids = (
            tf.gather(values, order, batch_dims=1) for values in (kept, kept_scores, class_ids)
        )
    return {
        OUTPUT_BOXES: kept,
        OUTPUT_SCORES: kept_scores,
        OUTPUT_CLASSES: class_ids,
        OUTPUT_COUNT: tf.cast(found.valid_detections, tf.float32),
    }


def _outdone(kept: tf.Tensor, scores: tf.Tensor, class_ids: tf.Tensor, same: float) -> tf.Tensor:
    """Which boxes lie upon a surer one of another class, bool [N, M]; they do from an IoU of `same`."""
    upon = boxes.pairwise_iou(kept, kept) > same
    surer = scores[:, None, :] > scores[:, :, None]
    other = class_ids[:, None, :] != class_ids[:, :, None]
    return tf.reduce_any(upon & surer & other, -1)


def _voted(
    kept: tf.Tensor, class_index: tf.Tensor, corners: tf.Tensor, scores: tf.Tensor, agreed: float
) -> tf.Tensor:
    """Kept boxes, each moved to the mean of the candidates upon it, weighted by score and IoU.

    The surest candidate is seldom the best placed one, and their errors partly cancel out (Gidaris and
    Komodakis 2015, box voting).

    Args:
        kept: float32 [N, M, 4], ymin xmin ymax xmax.
        class_index: int32 [N, M], from 0.
        corners: float32 [N, A, 4].
        scores: float32 [N, A, C].
        agreed: IoU from which a candidate counts.

    Returns:
        float32 [N, M, 4], 0 to 1; a box that nobody votes on stays, as the padding does.
    """
    surest = tf.math.top_k(tf.reduce_max(scores, -1), tf.minimum(_VOTERS, tf.shape(scores)[1])).indices
    corners = tf.clip_by_value(tf.gather(corners, surest, batch_dims=1), 0.0, 1.0)
    scores = tf.transpose(tf.gather(scores, surest, batch_dims=1), [0, 2, 1])
    overlap = boxes.pairwise_iou(kept, corners)
    votes = tf.where(overlap >= agreed, tf.gather(scores, class_index, batch_dims=1) * overlap, 0.0)
    cast = tf.reduce_sum(votes, -1, keepdims=True)
    return tf.where(cast > 0, tf.math.divide_no_nan(votes @ corners, cast), kept)
