"""What training minimises, on the targets of `sightline_training.targets`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import tensorflow as tf

FOCAL_GAMMA: Final = 2.0  # how far easy anchors are played down


def box_loss(target: tf.Tensor, code: tf.Tensor) -> tf.Tensor:
    """Smooth L1 of the codes over the anchors that answer for a box, per such anchor.

    Args:
        target: float32 [N, A, 5], the code and its weight.
        code: float32 [N, A, 4].
    """
    weight = target[..., 4]
    error = tf.abs(target[..., :4] - code)
    smooth = tf.where(error < 1, 0.5 * error**2, error - 0.5)
    return tf.reduce_sum(tf.reduce_sum(smooth, -1) * weight) / tf.maximum(tf.reduce_sum(weight), 1)


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
