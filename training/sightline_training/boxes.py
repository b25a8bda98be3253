"""Boxes as tensors: overlap, and the code in which the network says them."""

from __future__ import annotations

from typing import Final

import tensorflow as tf

CODER_SCALES: Final = (10.0, 10.0, 5.0, 5.0)  # ty tx th tw; of the Object Detection API's FasterRcnnBoxCoder
_TINY: Final = 1e-8  # keeps a padding box's logarithm finite


def to_corners(centered: tf.Tensor) -> tf.Tensor:
    """Center y, center x, height, width to ymin xmin ymax xmax; float32 [..., 4]."""
    center, half = centered[..., :2], centered[..., 2:] / 2
    return tf.concat([center - half, center + half], -1)


def to_centered(corners: tf.Tensor) -> tf.Tensor:
    """The inverse of `to_corners`."""
    low, high = corners[..., :2], corners[..., 2:]
    return tf.concat([(low + high) / 2, high - low], -1)


def encode(corners: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Boxes relative to their anchors.

    Args:
        corners: float32 [..., A, 4], ymin xmin ymax xmax.
        anchors: float32 [A, 4], center y, center x, height, width.

    Returns:
        float32 [..., A, 4], ty tx th tw, scaled by CODER_SCALES (Ren et al. 2015, equation 2).
    """
    boxes = to_centered(corners)
    moved = (boxes[..., :2] - anchors[:, :2]) / anchors[:, 2:]
    grown = tf.math.log(tf.maximum(boxes[..., 2:], _TINY) / anchors[:, 2:])
    return tf.concat([moved, grown], -1) * tf.constant(CODER_SCALES)


def decode(codes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """The inverse of `encode`."""
    codes = codes / tf.constant(CODER_SCALES)
    center = codes[..., :2] * anchors[:, 2:] + anchors[:, :2]
    size = tf.exp(codes[..., 2:]) * anchors[:, 2:]
    return to_corners(tf.concat([center, size], -1))


def area(corners: tf.Tensor) -> tf.Tensor:
    """float32 [..., 4] to [...]; 0 for a box turned inside out."""
    size = tf.maximum(corners[..., 2:] - corners[..., :2], 0.0)
    return size[..., 0] * size[..., 1]


def intersection(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Areas that boxes [..., 4] share, broadcast."""
    low = tf.maximum(one[..., :2], other[..., :2])
    high = tf.minimum(one[..., 2:], other[..., 2:])
    return area(tf.concat([low, high], -1))


def pairwise_iou(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Intersection over union of boxes [..., R, 4] and [..., C, 4]: [..., R, C]; 0 where both are empty."""
    rows, columns = rows[..., :, None, :], columns[..., None, :, :]
    shared = intersection(rows, columns)
    return tf.math.divide_no_nan(shared, area(rows) + area(columns) - shared)


def iou(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Intersection over union of boxes [..., 4], pair by pair; 0 where both are empty."""
    shared = intersection(one, other)
    return tf.math.divide_no_nan(shared, area(one) + area(other) - shared)


def giou(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Generalised intersection over union of boxes [..., 4], pair by pair: 1 where equal, to -1 far apart."""
    shared = intersection(one, other)
    union = area(one) + area(other) - shared
    low = tf.minimum(one[..., :2], other[..., :2])
    high = tf.maximum(one[..., 2:], other[..., 2:])
    around = area(tf.concat([low, high], -1))
    return tf.math.divide_no_nan(shared, union) - tf.math.divide_no_nan(around - union, around)
