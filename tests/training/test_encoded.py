"""Encoded bytes inside the graph give the pixels that the gateway's decoder gives."""

from __future__ import annotations

import io
import platform

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sightline.geometry import Stretch
from sightline.images import decode, encode_jpeg
from sightline_training.encoded import decode_batch, orientation, upright
from sightline_training.graph_resize import stretch
from sightline_training.synthetic import draw_picture

EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0%c\0\0\0\0\0\0"
EXIF_INTEL = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0%c\0\0\0\0\0\0\0"


def with_exif(jpeg: bytes, block: bytes) -> bytes:
    return jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]


def assert_same_pixels(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal; a step apart where OpenCV is built for a processor on which it calculates otherwise."""
    assert np.abs(found.astype(int) - expected).max() <= (platform.machine() != "x86_64")


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("block", [EXIF, EXIF_INTEL])
def test_exif_orientation_is_applied(turned: int, block: bytes) -> None:
    jpeg = with_exif(encode_jpeg(draw_picture(1, 0)[0]), block % turned)
    found = orientation(tf.constant(jpeg))
    assert int(found) == turned
    ours = upright(tf.io.decode_image(jpeg, 3, expand_animations=False), found).numpy()
    theirs = decode(jpeg).pixels
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).mean() < 2  # decoded by TensorFlow's default, not as served


def test_bytes_that_end_or_lie_are_no_orientation() -> None:
    jpeg = with_exif(encode_jpeg(draw_picture(1, 0)[0]), EXIF % 6)
    for data in (b"", b"\xff\xd8\xff", jpeg[:14], jpeg[:30], with_exif(jpeg[:2] + jpeg[38:], EXIF % 9)):
        assert int(orientation(tf.constant(data))) == 1


def test_the_resize_in_the_graph_is_opencvs() -> None:
    rng = np.random.default_rng(4)
    for height, width, *wanted in rng.integers(1, 500, (40, 4)).tolist():
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        found = stretch(tf.constant(pixels), *wanted).numpy()
        assert found.shape == (*wanted, 3)
        assert_same_pixels(found, Stretch(*wanted).apply(pixels))


def test_a_png_gives_the_pixels_of_the_one_resize_rule() -> None:
    pictures = [draw_picture(2, index)[0] for index in range(4)]
    encoded = [bytes(cv2.imencode(".png", picture[..., ::-1])[1]) for picture in pictures]
    found = decode_batch(tf.constant(encoded), 96, 128).numpy()
    expected = np.stack([Stretch(96, 128).apply(picture) for picture in pictures])
    assert_same_pixels(found, expected)


@pytest.mark.parametrize("side", [160, 75, 40, 20])  # the gateway decodes at 1, 1/2, 1/4, 1/8
@pytest.mark.parametrize("turned", [1, 6])
def test_a_jpeg_gives_the_gateways_pixels(side: int, turned: int) -> None:
    height, width = side, 2 * side  # so that a turned picture is reduced otherwise
    encoded = [
        with_exif(encode_jpeg(cv2.resize(draw_picture(3, n)[0], (400, 300))), EXIF % turned) for n in range(3)
    ]
    found = decode_batch(tf.constant(encoded), height, width).numpy()
    expected = np.stack(
        [Stretch(height, width).apply(decode(data, at_least=(height, width)).pixels) for data in encoded]
    )
    assert_same_pixels(found, expected)


def test_grey_and_cmyk_jpegs_are_decoded() -> None:
    picture = Image.fromarray(draw_picture(3, 0)[0])
    for mode in ("L", "CMYK"):
        buffer = io.BytesIO()
        picture.convert(mode).save(buffer, "JPEG")
        found = decode_batch(tf.constant([buffer.getvalue()]), 96, 96).numpy()[0]
        expected = Stretch(96, 96).apply(decode(buffer.getvalue(), at_least=(96, 96)).pixels)
        assert np.abs(found.astype(int) - expected).mean() < 3, mode


def test_what_is_no_picture_is_refused() -> None:
    cut = encode_jpeg(draw_picture(3, 0)[0])[:200]
    for data in (b"", b"no picture", b"\xff\xd8\xff", cut):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode_batch(tf.constant([data]), 96, 96)


def test_no_pictures_give_no_pixels() -> None:
    assert decode_batch(tf.constant([], tf.string), 96, 96).shape == (0, 96, 96, 3)
