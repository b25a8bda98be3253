from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.videos import write_video

from sightline.errors import (
    InputError,
    NoImageError,
    NotAnImageError,
    TooManyPixelsError,
    TruncatedImageError,
)
from sightline.geometry import Fit, Stretch
from sightline.image_header import read_header
from sightline.images import decode, encode_jpeg, encode_png, read_encoded, turn

ORIENTATION = 0x0112


def picture(width: int = 160, height: int = 120) -> Image.Image:
    """Smooth colours, with a red corner at the top left to tell up from down and red from blue."""
    x, y = np.meshgrid(np.linspace(0, 200, width), np.linspace(0, 200, height))
    pixels = np.stack([np.full_like(x, 40), x, y], -1).astype(np.uint8)
    pixels[: height // 4, : width // 4] = (250, 10, 10)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


JPEG = encoded(picture(), "JPEG", quality=95)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_each_format_comes_out_upright_and_rgb(kind: str) -> None:
    image = picture().quantize(256) if kind == "GIF" else picture()
    data = encoded(image, kind)
    header = read_header(data)
    assert (header.format.upper(), header.width, header.height) == (kind, 160, 120)
    out = decode(data)
    assert (out.width, out.height) == (160, 120)
    assert out.pixels.shape == (120, 160, 3)
    assert out.pixels.dtype == np.uint8
    difference = np.abs(out.pixels.astype(int) - np.asarray(picture()).astype(int))
    assert difference.mean() < 6
    assert out.pixels[5, 5, 0] > 200 > out.pixels[5, 5, 2]


def test_a_bmp_of_os2() -> None:
    rows = encoded(picture(), "BMP")[54:]  # 160 x 3 bytes need no padding
    data = b"BM" + struct.pack("<IHHIIHHHH", 26 + len(rows), 0, 0, 26, 12, 160, 120, 1, 24) + rows
    header = read_header(data)
    assert (header.format, header.width, header.height) == ("BMP", 160, 120)
    assert np.array_equal(decode(data, max_pixels=160 * 120).pixels, np.asarray(picture()))
    with pytest.raises(TooManyPixelsError, match="160 x 120"):
        decode(data, max_pixels=160 * 120 - 1)


def stored_as(orientation: int) -> bytes:
    """A picture of 161 x 121 as a camera that was held so stores it."""
    upright = picture(161, 121)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(stored, "JPEG", exif=exif, quality=95)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("at_least", [None, (20, 20)])
def test_exif_orientation_is_applied_and_told(orientation: int, at_least: tuple[int, int] | None) -> None:
    out = decode(stored_as(orientation), at_least=at_least)
    assert (out.width, out.height) == (161, 121)
    assert out.pixels.shape[1] > out.pixels.shape[0]
    corner = out.pixels[2, 2].astype(int)
    assert corner[0] > 180 > corner[2]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("resize", [Stretch(60, 90), Fit(70)])
def test_turned_once_it_is_small_it_is_the_same_picture(orientation: int, resize: Stretch | Fit) -> None:
    data = stored_as(orientation)
    whole = decode(data)
    stored = decode(data, upright=False)
    assert (stored.width, stored.height) == (whole.width, whole.height) == (161, 121)
    assert stored.sideways == (orientation >= 5)
    small = (resize.sideways if stored.sideways else resize).apply(stored.pixels)
    late, early = turn(small, stored.orientation), resize.apply(whole.pixels)
    assert late.shape == early.shape
    assert np.abs(late.astype(int) - early).max() <= 1, "but for rounding"


def test_a_thumbnail_in_the_exif_block_does_not_hide_that_the_picture_is_cut() -> None:
    exif = Image.Exif()
    exif[0x9286] = b"\xff\xd8\xff\xd9" * 4
    data = encoded(picture(), "JPEG", exif=exif)
    assert decode(data).width == 160
    with pytest.raises(TruncatedImageError, match="end mark"):
        decode(data[: len(data) * 2 // 3])


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("L", "JPEG"),
        ("CMYK", "JPEG"),
        ("L", "PNG"),
        ("LA", "PNG"),
        ("RGBA", "PNG"),
        ("P", "PNG"),
        ("1", "PNG"),
    ],
)
def test_other_colour_models_become_rgb(mode: str, kind: str) -> None:
    image = picture().quantize(64) if mode == "P" else picture().convert("RGBA" if mode == "LA" else mode)
    if mode == "LA":
        image = image.convert("LA")
    expected = np.asarray(image.convert("RGB")).astype(int)
    out = decode(encoded(image, kind))
    assert np.abs(out.pixels.astype(int) - expected).mean() < 6


def test_sixteen_bits_become_eight() -> None:
    deep = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    ok, data = cv2.imencode(".png", deep)
    assert ok
    out = decode(data.tobytes())
    np.testing.assert_allclose(out.pixels[..., 0], deep >> 8, atol=1)


@pytest.mark.parametrize(
    ("side", "shape"), [(30, (75, 100)), (60, (75, 100)), (76, (150, 200)), (200, (300, 400))]
)
def test_a_large_jpeg_is_decoded_at_the_smallest_size_that_suffices(
    side: int, shape: tuple[int, int]
) -> None:
    if side == 30:
        shape = (38, 50)  # 300 / 8 rounds up
    out = decode(encoded(picture(400, 300), "JPEG"), at_least=(side, side))
    assert out.pixels.shape[:2] == shape
    assert (out.width, out.height) == (400, 300)


def test_no_bytes() -> None:
    with pytest.raises(NoImageError, match="0 bytes"):
        decode(b"")


@pytest.mark.parametrize("data", [b"hello", b"%PDF-1.7", b"\x00" * 100, b"BM", b"\xff\xd8", b"<svg></svg>"])
def test_not_an_image(data: bytes) -> None:
    with pytest.raises(NotAnImageError, match="JPEG, PNG, WebP, BMP, GIF"):
        decode(data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (encoded(picture(), "TIFF"), "TIFF"),
        (encoded(picture(), "JPEG2000"), "JPEG 2000"),
        (b"\0\0\0\x18ftypheic\0\0\0\0" + bytes(100), "HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0" + bytes(100), "AVIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    ],
)
def test_a_picture_in_a_format_that_is_not_read_is_named(data: bytes, name: str) -> None:
    with pytest.raises(NotAnImageError, match=f"a picture in {name}, which is not read; send one of JPEG"):
        decode(data)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".avi", ".mkv"])
def test_a_film_is_told_from_a_picture(suffix: str, tmp_path: Path) -> None:
    film = write_video(tmp_path / f"film{suffix}", 3).read_bytes()
    with pytest.raises(NotAnImageError, match="are a film, for which there are `:detectVideo`"):
        decode(film)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.95])
def test_cut_short(kind: str, part: float) -> None:
    data = encoded(picture(), kind)
    with pytest.raises(TruncatedImageError):
        decode(data[: max(int(len(data) * part), 30)])


def test_too_many_pixels_is_told_from_the_header_alone() -> None:
    bomb = bytearray(encoded(Image.new("RGB", (8, 8)), "PNG"))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(TooManyPixelsError, match="60000 x 60000"):
        decode(bytes(bomb))
    with pytest.raises(TooManyPixelsError, match="160 x 120 pixels; the limit is 19199"):
        decode(JPEG, max_pixels=160 * 120 - 1)
    assert decode(JPEG, max_pixels=160 * 120).width == 160


@settings(max_examples=300)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "GIF"]), st.data())
def test_damaged_bytes_give_a_picture_or_an_input_error(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(encoded(picture(32, 24), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        out = decode(bytes(damaged), max_pixels=1_000_000)
    except InputError as fault:
        assert fault.detail
    else:
        assert out.pixels.ndim == 3


def test_encoding_is_the_inverse() -> None:
    pixels = decode(JPEG).pixels
    again = decode(encode_jpeg(pixels, quality=95)).pixels
    assert np.abs(again.astype(int) - pixels.astype(int)).mean() < 2


def test_a_picture_too_long_for_its_format_is_refused_with_its_size() -> None:
    with pytest.raises(InputError, match="70000 x 2 pixels is too long for a JPEG"):
        encode_jpeg(np.zeros((2, 70_000, 3), np.uint8))
    with pytest.raises(InputError, match="2 x 1000001 pixels is too long for a PNG"):
        encode_png(np.zeros((1_000_001, 2, 3), np.uint8))
    assert decode(encode_png(np.zeros((2, 70_000, 3), np.uint8))).width == 70_000


@pytest.mark.parametrize("progressive", [True, False])
def test_a_jpeg_with_scans_without_end_is_refused(progressive: bool) -> None:
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    data = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8), flags)[1].tobytes()
    assert decode(data).width == 64
    one = data.rindex(b"\xff\xda")
    many = data[:one] + data[one:-2] * 80 + data[-2:]
    if progressive:
        with pytest.raises(NotAnImageError, match=r"has \d\d scans; at most 64 are decoded"):
            decode(many)
    else:  # its first scan holds everything, and a decoder looks at no other
        assert decode(many).width == 64


def test_the_pixels_that_are_held_are_known_beforehand() -> None:
    for shape, at_least in (((800, 1200), (300, 300)), ((800, 1200), (801, 10)), ((100, 90), (300, 300))):
        data = encode_jpeg(np.zeros((*shape, 3), np.uint8))
        held = decode(data, at_least=at_least).pixels
        assert read_encoded(data, at_least=at_least).pixels == held.shape[0] * held.shape[1]
