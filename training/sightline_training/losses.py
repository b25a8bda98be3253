"""What training minimises, on the targets of `sightline_training.targets`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import tensorflow as tf

from sightline_training import boxes
from sightline_training.model import BOXES, CLASSES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOCAL: Final = "focal"
VARIFOCAL: Final = "varifocal"
CLASS_LOSSES: Final = (FOCAL, VARIFOCAL)
GAMMA: Final = 2.0  # how far easy anchors are played down


@dataclass(frozen=True, slots=True, eq=False)
class AnchoredLoss:
    """The loss of a network that says a code and class scores for each anchor, in two parts.

    Args:
        anchors: float32 [A, 4], center y, center x, height, width.
        overlap_weight: of 1 - GIoU beside smooth L1, in the box loss.
        class_loss: one of CLASS_LOSSES.
        alpha: weight of what is there against what is not (1 - `alpha`), in the class loss.
    """

    anchors: NDArray[np.float32]
    overlap_weight: float
    class_loss: str
    alpha: float

    def __call__(self, wanted: dict[str, tf.Tensor], said: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Both losses per anchor that answers for a box, under the names of the outputs.

        Args:
            wanted: BOXES float32 [N, A, 5], the code and its weight, and CLASSES float32 [N, A, C + 1], one
                hot, and 1 where the anchor is asked.
            said: BOXES float32 [N, A, 4], codes, and CLASSES float32 [N, A, C], logits.
        """
        anchors = tf.constant(self.anchors)
        code, weight = wanted[BOXES][..., :4], wanted[BOXES][..., 4]
        there, found = boxes.decode(code, anchors), boxes.decode(said[BOXES], anchors)
        each = tf.reduce_sum(_smooth_l1(code - said[BOXES]), -1)
        if self.overlap_weight:
            # Smooth L1 flattens out near the answer, where the COCO metric still asks for more; the
            # overlap does not (Rezatofighi 2019).
            each += self.overlap_weight * (1 - boxes.giou(there, found))
        hot, asked = wanted[CLASSES][..., :-1], wanted[CLASSES][..., -1:]
        if self.class_loss == VARIFOCAL:
            quality = tf.stop_gradient(boxes.iou(there, found))[..., None]
            classes = _varifocal(hot, said[CLASSES], quality, self.alpha)
        else:
            classes = _focal(hot, said[CLASSES], self.alpha)
        answering = tf.maximum(tf.reduce_sum(weight), 1)
        return {
            BOXES: tf.reduce_sum(each * weight) / answering,
            CLASSES: tf.reduce_sum(classes * asked) / answering,
        }


def _smooth_l1(error: tf.Tensor) -> tf.Tensor:
    size = tf.abs(error)
    return tf.where(size < 1, 0.5 * error**2, size - 0.5)


def _focal(hot: tf.Tensor, logits: tf.Tensor, alpha: float) -> tf.Tensor:
    """Sigmoid focal loss [N, A, C] (Lin 2017): what is nearly right already counts for little."""
    score = tf.sigmoid(logits)
    missed = tf.where(hot > 0, 1 - score, score)
    balance = tf.where(hot > 0, alpha, 1 - alpha)
    return balance * missed**GAMMA * tf.nn.sigmoid_cross_entropy_with_logits(hot, logits)


def _varifocal(hot: tf.Tensor, logits: tf.Tensor, quality: tf.Tensor, alpha: float) -> tf.Tensor:
    """Varifocal loss [N, A, C] (Zhang 2021): a score is asked for the overlap that its own box has.

    So the best placed of several boxes on one object becomes the surest. That takes a network whose boxes
    are of use from the start: from random weights it learns more slowly than with `_focal`.

    Args:
        hot: float32 [N, A, C].
        logits: float32 [N, A, C].
        quality: float32 [N, A, 1], IoU of each anchor's box with the one it answers for; no gradient.
        alpha: what is there weighs as much as its overlap, what is not 1 - `alpha`.
    """
    wanted = hot * quality
    easy = tf.stop_gradient(tf.sigmoid(logits)) ** GAMMA
    weight = tf.where(hot > 0, wanted, (1 - alpha) * easy)
    return weight * tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits)
