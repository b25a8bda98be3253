"""What training minimises, on the targets of `sightline_training.targets`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import tensorflow as tf

from sightline_training import boxes

FOCAL_GAMMA: Final = 2.0  # how far easy anchors are played down


def box_loss(anchors: tf.Tensor, overlap: float) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The box loss, per anchor that answers for a box: smooth L1 of the codes and a share of 1 - GIoU.

    Smooth L1 flattens out near the answer, where the COCO metric still asks for more; the overlap does
    not (Rezatofighi 2019).

    Args:
        anchors: float32 [A, 4], center y, center x, height, width.
        overlap: weight of the second.

    Returns:
        A loss of targets float32 [N, A, 5], the code and its weight, and codes float32 [N, A, 4].
    """
    anchors = tf.constant(anchors)

    def loss(target: tf.Tensor, code: tf.Tensor) -> tf.Tensor:
        wanted, weight = target[..., :4], target[..., 4]
        each = tf.reduce_sum(_smooth_l1(wanted - code), -1)
        if overlap:
            each += overlap * (1 - boxes.giou(boxes.decode(wanted, anchors), boxes.decode(code, anchors)))
        return tf.reduce_sum(each * weight) / tf.maximum(tf.reduce_sum(weight), 1)

    return loss


def _smooth_l1(error: tf.Tensor) -> tf.Tensor:
    size = tf.abs(error)
    return tf.where(size < 1, 0.5 * error**2, size - 0.5)


def class_loss(alpha: float) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The class loss with a weight of what is there (`alpha`) against what is not (1 - `alpha`)."""

    def loss(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return _focal(target, logits, alpha)

    return loss


def _focal(target: tf.Tensor, logits: tf.Tensor, alpha: float) -> tf.Tensor:
    """Sigmoid focal loss over the anchors that are asked, per anchor that answers for a box (Lin 2017).

    Args:
        target: float32 [N, A, C + 1], one hot, and 1 where the anchor is asked.
        logits: float32 [N, A, C].
        alpha: as `class_loss`.
    """
    hot, asked = target[..., :-1], target[..., -1:]
    cross = tf.nn.sigmoid_cross_entropy_with_logits(hot, logits)
    score = tf.sigmoid(logits)
    missed = tf.where(hot > 0, 1 - score, score)
    balance = tf.where(hot > 0, alpha, 1 - alpha)
    focal = balance * missed**FOCAL_GAMMA * cross * asked
    return tf.reduce_sum(focal) / tf.maximum(tf.reduce_sum(hot * asked), 1)
