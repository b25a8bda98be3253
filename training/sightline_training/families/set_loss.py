"""D-FINE's loss: boxes matched one to one to objects, then KerasHub's own terms."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

_TINY = 1e-8


class SetLoss:
    """The loss of a batch.

    The terms and their weights are KerasHub's. Its own sum of them is not used: it takes all pictures of a
    batch to show equally many objects, takes each picture's objects from the first one, and matches by a
    loop over queries that takes seconds a step and, in float32 beside costs of 1e9, misses the cheapest
    matching. Here the boxes of the whole batch are matched picture by picture and then given to the terms
    as if they were of one picture.

    Args:
        task: the `DFineObjectDetector`.
    """

    def __init__(self, task: keras.Model) -> None:
        self._task = task

    def __call__(self, true: dict[str, Any], said: dict[str, Any]) -> tf.Tensor:
        """Sum of the weighted terms over the decoder's layers and the encoder, a scalar."""
        asked = true["labels"] >= 0
        targets = {name: tf.boolean_mask(values, asked) for name, values in true.items()}
        count = tf.maximum(tf.cast(tf.size(targets["labels"]), tf.float32), 1.0)
        logits, boxes = (
            said["intermediate_logits"],
            tf.clip_by_value(said["intermediate_reference_points"], 0.0, 1.0),
        )
        corners, points = said["intermediate_predicted_corners"], said["initial_reference_points"]
        total = tf.constant(0.0)
        layers = (-1, *range(self._task.backbone.num_decoder_layers))
        for layer in layers:
            one = {
                "logits": logits[:, layer],
                "pred_boxes": boxes[:, layer],
                "pred_corners": corners[:, layer],
                "ref_points": points[:, layer],
                "teacher_corners": corners[:, -1],
                "teacher_logits": logits[:, -1],
            }
            total += self._layer(one, true, targets, count, distil=0 <= layer < layers[-1])
        encoder = {
            "logits": said["enc_topk_logits"],
            "pred_boxes": tf.clip_by_value(said["enc_topk_bboxes"], 0.0, 1.0),
        }
        return total + self._layer(encoder, true, targets, count, distil=False)

    def _layer(
        self,
        said: dict[str, tf.Tensor],
        true: dict[str, tf.Tensor],
        targets: dict[str, tf.Tensor],
        count: tf.Tensor,
        *,
        distil: bool,
    ) -> tf.Tensor:
        """The terms of one layer's boxes."""
        from keras_hub.src.models.d_fine import d_fine_loss as terms

        task = self._task
        rows, columns = self.match(said["logits"], said["pred_boxes"], true)
        indices = (rows[None], columns[None], tf.ones_like(rows[None], tf.bool))
        flat = {name: tf.reshape(values, (1, -1, values.shape[-1])) for name, values in said.items()}
        found = {
            **terms.compute_vfl_loss(
                flat, [targets], indices, count, task.num_classes, task.matcher_alpha, task.matcher_gamma
            ),
            **terms.compute_box_losses(flat, [targets], indices, count),
        }
        if "pred_corners" in flat:
            found |= terms.compute_local_losses(
                flat, [targets], indices, count, task.backbone, task.ddf_temperature, compute_ddf=distil
            )
        return tf.add_n([value * task.weight_dict[name] for name, value in found.items()])

    def match(
        self, logits: tf.Tensor, boxes: tf.Tensor, true: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Which boxes answer for which objects, by the least cost (Carion et al. 2020).

        Returns:
            Indices int32 [T] of boxes in the flattened batch, and of objects among those of the batch.
        """
        task = self._task
        scores = tf.sigmoid(tf.gather(logits, tf.maximum(true["labels"], 0), axis=2, batch_dims=1))
        gamma, alpha = task.matcher_gamma, task.matcher_alpha
        hit = alpha * (1 - scores) ** gamma * -tf.math.log(scores + _TINY)
        missed = (1 - alpha) * scores**gamma * -tf.math.log(1 - scores + _TINY)
        one, other = boxes[:, :, None], true["boxes"][:, None]
        away = tf.reduce_sum(tf.abs(one - other), -1)
        overlap = keras.utils.bounding_boxes.compute_ciou(*(_corners(part) for part in (one, other)), "xyxy")
        cost = (
            task.matcher_class_cost * (hit - missed)
            + task.matcher_bbox_cost * away
            - task.matcher_ciou_cost * overlap
        )
        rows, columns = tf.numpy_function(
            assign, [tf.stop_gradient(cost), true["labels"] >= 0], (tf.int32, tf.int32)
        )
        return tf.ensure_shape(rows, [None]), tf.ensure_shape(columns, [None])


def assign(
    cost: NDArray[np.float32], asked: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Match each picture's boxes to its objects so that the costs' sum is least.

    Args:
        cost: float32 [N, Q, B].
        asked: bool [N, B], where there is an object.

    Returns:
        Indices of boxes, picture after picture (Q to each), and of objects, picture after picture.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns, before = [], [], 0
    for picture, objects in enumerate(asked):
        of_boxes, of_objects = linear_sum_assignment(cost[picture][:, objects])
        rows.append(of_boxes + picture * cost.shape[1])
        columns.append(of_objects + before)
        before += int(objects.sum())
    return np.concatenate(rows).astype(np.int32), np.concatenate(columns).astype(np.int32)


def _corners(centered: tf.Tensor) -> tf.Tensor:
    """Center x, center y, width, height to xmin ymin xmax ymax."""
    center, half = centered[..., :2], centered[..., 2:] / 2
    return tf.concat([center - half, center + half], -1)
