"""The one resize rule inside a graph: what `sightline.geometry.Stretch` does, to the last digit."""

from __future__ import annotations

from typing import Final

import tensorflow as tf

_ONE: Final = 1 << 11  # OpenCV's weights are whole 2048ths
_CUT_BETWEEN: Final = 1 << 4  # by which it divides once rows are mixed across, leaving the rest out
_CUT_DOWN: Final = 1 << 16  # and again once each row of a pair is weighted
_LEFT: Final = _ONE * _ONE // _CUT_BETWEEN // _CUT_DOWN  # what then is left of a color's factor: 4
_CHANNELS: Final = 3


def stretch(pixels: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Resize RGB uint8 [h, w, 3] to uint8 [height, width, 3], bilinear.

    This is OpenCV's own arithmetic (`INTER_LINEAR` of 8-bit pixels, modules/imgproc/src/resize.cpp): its sums
    lose their last bits twice on their way. Builds for other processors may be a step of a color away.
    The numbers are whole; they are kept in the floats that hold them exactly, in which TensorFlow is quicker.
    """
    rows, columns = tf.shape(pixels)[0], tf.shape(pixels)[1]
    row, row_weights = _sources(rows, height)
    column, column_weights = _sources(columns, width)
    # Beyond the first and last column OpenCV takes that column whole; beyond rows it mixes one with itself.
    beyond = (column < 0) | (column >= columns - 1)
    column_weights = tf.where(beyond, tf.constant([[_ONE], [0]], tf.float64), column_weights)

    lines = tf.gather(pixels, _pairs(row, rows))  # [2 height, w, 3]
    # On their side, because long runs are gathered and weighted quickly.
    sideways = tf.gather(tf.transpose(lines, (1, 0, 2)), _pairs(column, columns))
    values = tf.reshape(tf.cast(sideways, tf.float32), (2, width, 2 * height * _CHANNELS))
    across = tf.cast(column_weights[..., None] / _CUT_BETWEEN, tf.float32) * values
    mixed = tf.reshape(tf.cast(tf.floor(across[0] + across[1]), tf.float64), (width, 2, height * _CHANNELS))
    down = tf.floor(mixed * tf.repeat(row_weights / _CUT_DOWN, _CHANNELS, axis=1))
    rounded = tf.cast((down[:, 0] + down[:, 1] + _LEFT // 2) / _LEFT, tf.uint8)
    return tf.transpose(tf.reshape(rounded, (width, height, _CHANNELS)), (1, 0, 2))


def _sources(count: tf.Tensor, wanted: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Of `wanted` places along a side of `count` pixels: the pixel before each, int32 [wanted], and how much
    that one and the next weigh, whole numbers as float64 [2, wanted]."""
    scale = tf.cast(count, tf.float64) / wanted
    at = tf.cast((tf.range(wanted, dtype=tf.float64) + 0.5) * scale - 0.5, tf.float32)
    before = tf.floor(at)
    weights = tf.round(tf.stack([1 - (at - before), at - before]) * _ONE)
    return tf.cast(before, tf.int32), tf.cast(weights, tf.float64)


def _pairs(before: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The pixels before, then the ones after, those beyond an edge brought back to it."""
    return tf.clip_by_value(tf.concat([before, before + 1], 0), 0, count - 1)
