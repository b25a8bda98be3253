"""What the network should have said: boxes matched to anchors."""

from __future__ import annotations

import tensorflow as tf

from sightline_training import boxes


class Matcher:
    """Matches labelled boxes to anchors, a batch at a time.

    Each box gets all anchors that overlap it by `matched`, and its best one in any case, as the Object
    Detection API's ArgMaxMatcher with `force_match_for_each_row`.

    Args:
        anchors: float32 [A, 4], center y, center x, height, width.
        classes: how many.
        matched: IoU from which an anchor answers for a box.
        unmatched: IoU below which it is background; between the two it is not asked.
    """

    def __init__(self, anchors: tf.Tensor, classes: int, *, matched: float, unmatched: float) -> None:
        self._matched, self._unmatched = matched, unmatched
        self._anchors = tf.constant(anchors)
        self._corners = boxes.to_corners(self._anchors)
        self._classes = classes

    def __call__(self, corners: tf.Tensor, class_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Make targets.

        Args:
            corners: float32 [N, B, 4], ymin xmin ymax xmax.
            class_ids: int32 [N, B], from 1; 0 pads, and -1 marks a box that is neither asked for nor
                background: anchors upon it count for nothing.

        Returns:
            Box targets float32 [N, A, 5]: the code, and 1 where the anchor answers for a box.
            Class targets float32 [N, A, C + 1]: one hot without background, and 1 where the anchor is asked.
        """
        wanted = class_ids > 0
        iou = boxes.pairwise_iou(self._corners[None], corners)  # [N, A, B]
        iou_wanted = tf.where(wanted[:, None], iou, 0.0)
        matched = tf.argmax(iou_wanted, -1, output_type=tf.int32)
        overlap = tf.reduce_max(iou_wanted, -1)
        forced, forced_box = self._forced(iou_wanted, wanted)
        positive = (overlap >= self._matched) | forced
        matched = tf.where(forced, forced_box, matched)
        code = boxes.encode(tf.gather(corners, matched, batch_dims=1), self._anchors)
        label = tf.gather(class_ids, matched, batch_dims=1)
        hot = tf.one_hot(tf.where(positive, label - 1, -1), self._classes)
        near_ignored = tf.reduce_max(tf.where(class_ids[:, None] < 0, iou, 0.0), -1) >= self._unmatched
        asked = positive | ((overlap < self._unmatched) & ~near_ignored)
        weight = tf.cast(positive, tf.float32)[..., None]
        return (
            tf.concat([code * weight, weight], -1),
            tf.concat([hot, tf.cast(asked, tf.float32)[..., None]], -1),
        )

    def _forced(self, iou: tf.Tensor, wanted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Which anchors [N, A] are some box's best, and that box's index."""
        best = tf.argmax(iou, 1, output_type=tf.int32)  # [N, B]
        count = tf.shape(iou)[1]
        chosen = tf.one_hot(tf.where(wanted, best, -1), count, axis=1)  # [N, A, B]
        return tf.reduce_max(chosen, -1) > 0, tf.argmax(chosen, -1, output_type=tf.int32)
