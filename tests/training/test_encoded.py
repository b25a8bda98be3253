"""Encoded bytes inside the graph give the pixels that the gateway's decoder gives."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tensorflow as tf

from sightline.geometry import Stretch
from sightline.images import decode, encode_jpeg
from sightline_training.encoded import decode_batch, orientation, upright
from sightline_training.synthetic import draw_picture

EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0%c\0\0\0\0\0\0"
EXIF_INTEL = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0%c\0\0\0\0\0\0\0"


def with_exif(jpeg: bytes, block: bytes) -> bytes:
    return jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("block", [EXIF, EXIF_INTEL])
def test_exif_orientation_is_applied(turned: int, block: bytes) -> None:
    jpeg = with_exif(encode_jpeg(draw_picture(1, 0)[0]), block % turned)
    found = orientation(tf.constant(jpeg))
    assert int(found) == turned
    ours = upright(tf.io.decode_image(jpeg, 3, expand_animations=False), found).numpy()
    theirs = decode(jpeg).pixels
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).mean() < 2


def test_bytes_that_end_or_lie_are_no_orientation() -> None:
    jpeg = with_exif(encode_jpeg(draw_picture(1, 0)[0]), EXIF % 6)
    for data in (b"", b"\xff\xd8\xff", jpeg[:14], jpeg[:30], with_exif(jpeg[:2] + jpeg[38:], EXIF % 9)):
        assert int(orientation(tf.constant(data))) == 1


def test_a_png_gives_the_pixels_of_the_one_resize_rule() -> None:
    pictures = [draw_picture(2, index)[0] for index in range(4)]
    encoded = [bytes(cv2.imencode(".png", picture[..., ::-1])[1]) for picture in pictures]
    found = decode_batch(tf.constant(encoded), 96, 128).numpy()
    expected = np.stack([Stretch(96, 128).apply(picture) for picture in pictures])
    assert np.abs(found.astype(int) - expected).max() <= 1  # OpenCV interpolates in fixed point


def test_a_jpeg_gives_nearly_the_gateways_pixels() -> None:
    encoded = [encode_jpeg(draw_picture(3, index)[0]) for index in range(4)]
    found = decode_batch(tf.constant(encoded), 160, 160).numpy()
    expected = np.stack([Stretch(160, 160).apply(decode(data).pixels) for data in encoded])
    assert np.abs(found.astype(int) - expected).mean() < 1.5


def test_no_pictures_give_no_pixels() -> None:
    assert decode_batch(tf.constant([], tf.string), 96, 96).shape == (0, 96, 96, 3)
