"""Encoded bytes -> pixels at input size, inside the served graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import tensorflow as tf

from sightline.images import JPEG_REDUCTIONS
from sightline_training.graph_resize import stretch

_JPEG: Final = b"\xff\xd8\xff"
_EXIF: Final = tuple(b"Exif\0\0")
_APP1: Final = 0xE1  # the segment that holds EXIF
_START_OF_SCAN: Final = 0xDA
_LITTLE_ENDIAN: Final = ord("I")
_ORIENTATION: Final = 0x0112
_ENTRY: Final = 12  # bytes of an EXIF directory entry
_HEADER: Final = 1 << 18  # bytes in which the EXIF block is looked for
_FLIPPED_SIDEWAYS: Final = (2, 3, 6, 7)  # EXIF orientations, once those from 5 on are transposed
_FLIPPED_UPSIDE_DOWN: Final = (3, 4, 7, 8)


def decode_batch(data: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Decode JPEG, PNG, GIF or BMP bytes: string [N] to uint8 [N, height, width, 3] RGB, upright.

    They are the pixels that `sightline.images.decode` and `sightline.geometry.Stretch` give the gateway, so
    that a model answers alike whoever decodes.
    """

    def one(encoded: tf.Tensor) -> tf.Tensor:
        turned = orientation(encoded)
        pixels = tf.cond(
            _is_jpeg(encoded),
            lambda: _jpeg_pixels(encoded, turned, height, width),
            lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
        )
        return stretch(upright(pixels, turned), height, width)

    return tf.map_fn(one, data, fn_output_signature=tf.TensorSpec((height, width, 3), tf.uint8))


def _is_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    return tf.strings.substr(encoded, 0, len(_JPEG)) == _JPEG


def _jpeg_pixels(encoded: tf.Tensor, turned: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """A JPEG as OpenCV decodes it, at the fraction of its size that the gateway would take: uint8 [h, w, 3].

    TensorFlow's own default is the fast inverse transform, which rounds otherwise.
    """
    stored = tf.image.extract_jpeg_shape(encoded)[:2]
    size = tf.where(turned >= 5, stored[::-1], stored)
    # Each factor that fits takes the ones below it along.
    fitting = [tf.reduce_all(size >= factor * tf.constant([height, width])) for factor in JPEG_REDUCTIONS]

    def at(ratio: int) -> Callable[[], tf.Tensor]:
        return lambda: tf.io.decode_jpeg(encoded, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    return tf.switch_case(
        tf.reduce_sum(tf.cast(fitting, tf.int32)), [at(ratio) for ratio in (1, *reversed(JPEG_REDUCTIONS))]
    )


def upright(pixels: tf.Tensor, turned: tf.Tensor) -> tf.Tensor:
    """Apply an EXIF orientation, int32 1 to 8, to pixels [h, w, 3]."""
    pixels = tf.cond(turned >= 5, lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)
    sideways = tf.reduce_any(turned == tf.constant(_FLIPPED_SIDEWAYS))
    upside_down = tf.reduce_any(turned == tf.constant(_FLIPPED_UPSIDE_DOWN))
    pixels = tf.cond(sideways, lambda: tf.reverse(pixels, [1]), lambda: pixels)
    return tf.cond(upside_down, lambda: tf.reverse(pixels, [0]), lambda: pixels)


def orientation(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a picture's bytes, int32; 1 where there is none."""
    return tf.cond(_is_jpeg(encoded), lambda: _jpeg_orientation(encoded), lambda: tf.constant(1))


class _Bytes:
    """Numbers in a string; past its end there are zeros."""

    def __init__(self, data: tf.Tensor) -> None:
        head = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 0, _HEADER), tf.uint8), tf.int32)
        self.length = tf.size(head)
        self._head = tf.concat([head, [0]], 0)

    def at(self, index: tf.Tensor) -> tf.Tensor:
        """The byte at each index."""
        return tf.gather(self._head, tf.clip_by_value(index, 0, self.length))

    def number(self, index: tf.Tensor, size: int, little: tf.Tensor) -> tf.Tensor:
        """The unsigned number of `size` bytes at each index."""
        digits = [self.at(index + place) for place in range(size)]
        big_endian = sum(digit * 256**place for place, digit in enumerate(reversed(digits)))
        little_endian = sum(digit * 256**place for place, digit in enumerate(digits))
        return tf.where(little, little_endian, big_endian)


def _jpeg_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Walk the segments to the EXIF block, then its first directory (ITU T.81 B; EXIF 2.32, 4.6)."""
    data = _Bytes(encoded)
    big = tf.constant(False)

    def is_exif(at: tf.Tensor) -> tf.Tensor:
        name = data.at(at + 4 + tf.range(len(_EXIF)))
        return (data.at(at + 1) == _APP1) & tf.reduce_all(name == tf.constant(_EXIF))

    def more(at: tf.Tensor) -> tf.Tensor:
        segment = (data.at(at) == 0xFF) & (data.at(at + 1) != _START_OF_SCAN)
        return segment & (at < data.length) & ~is_exif(at)

    def following(at: tf.Tensor) -> tuple[tf.Tensor]:
        return (at + 2 + data.number(at + 2, 2, big),)

    (at,) = tf.while_loop(more, following, (tf.constant(2),))
    tiff = at + 10
    little = data.at(tiff) == _LITTLE_ENDIAN
    directory = tiff + data.number(tiff + 4, 4, little)
    entries = directory + 2 + _ENTRY * tf.range(data.number(directory, 2, little))
    tags = data.number(entries, 2, little)
    values = data.number(entries + 8, 2, little)
    known = (tags == _ORIENTATION) & (values >= 1) & (values <= 8)
    stored = tf.reduce_max(tf.where(known, values, 0))
    return tf.where(is_exif(at) & (stored > 0), stored, 1)
