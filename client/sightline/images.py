"""Encoded bytes -> upright RGB pixels, with the limits checked before any pixel is decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.errors import InputError, NoImageError, TooManyPixelsError, TruncatedImageError
from sightline.image_header import SIDEWAYS, ImageHeader, read_header

DEFAULT_MAX_PIXELS: Final = 50_000_000  # 150 MB decoded; a 48-megapixel phone picture passes

# Decoding a JPEG to a fraction of its size skips most of the inverse transform. OpenCV's own names for
# that are of BGR.
_REDUCED: Final = {
    factor: flag & ~cv2.IMREAD_COLOR_BGR | cv2.IMREAD_COLOR_RGB
    for factor, flag in (
        (8, cv2.IMREAD_REDUCED_COLOR_8),
        (4, cv2.IMREAD_REDUCED_COLOR_4),
        (2, cv2.IMREAD_REDUCED_COLOR_2),
    )
}
# EXIF orientation -> what makes the stored pixels upright (EXIF 2.32, 4.6)
_TURNS: Final[Mapping[int, Callable[[Any], Any]]] = {
    2: partial(cv2.flip, flipCode=1),
    3: partial(cv2.rotate, rotateCode=cv2.ROTATE_180),
    4: partial(cv2.flip, flipCode=0),
    5: cv2.transpose,
    6: partial(cv2.rotate, rotateCode=cv2.ROTATE_90_CLOCKWISE),
    7: lambda pixels: cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180),
    8: partial(cv2.rotate, rotateCode=cv2.ROTATE_90_COUNTERCLOCKWISE),
}
# Pixels a side: libjpeg's and libpng's own limits; the formats' are a little or much higher.
_LONGEST_JPEG: Final = 65_500
_LONGEST_PNG: Final = 1_000_000
JPEG_REDUCTIONS: Final = tuple(_REDUCED)  # by which a side is divided, the strongest first


class Picture(NamedTuple):
    """A decoded picture."""

    pixels: NDArray[np.uint8]  # [h, w, 3]; RGB; may be reduced, and not upright yet
    width: int  # pixels of the full upright picture
    height: int  # pixels of the full upright picture
    orientation: int = 1  # EXIF, of the pixels as they are here

    @property
    def sideways(self) -> bool:
        """Whether the pixels' height is the upright picture's width."""
        return self.orientation in SIDEWAYS


def decode(
    data: bytes,
    *,
    at_least: tuple[int, int] | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    upright: bool = True,
) -> Picture:
    """Decode JPEG, PNG, WebP, BMP or the first frame of a GIF.

    EXIF orientation is applied; grey, palette, alpha, 16-bit and CMYK pictures become 8-bit RGB.

    Args:
        data: the encoded image.
        at_least: (height, width) that the caller will resize to; a JPEG is then decoded at the
            smallest of 1/8, 1/4, 1/2, 1/1 that is not below it.
        max_pixels: limit on width x height, told from the header.
        upright: turn it as its EXIF orientation says; else that is left to `turn`, on fewer pixels.

    Raises:
        NoImageError: there are no bytes.
        NotAnImageError, TruncatedImageError: as `read_header`, or the pixels do not decode.
        TooManyPixelsError: the header announces more than `max_pixels`.
    """
    return read_encoded(data, at_least=at_least, max_pixels=max_pixels).decode(upright=upright)


class Encoded(NamedTuple):
    """A picture of which only the header was read."""

    data: bytes
    header: ImageHeader
    factor: int  # by which a JPEG's sides are divided as it is decoded; 1 leaves them

    @property
    def pixels(self) -> int:
        """How many are held once it is decoded."""
        return self.header.width * self.header.height // self.factor**2

    def decode(self, *, upright: bool = True) -> Picture:
        """As the function `decode`.

        Raises:
            TruncatedImageError: the pixels do not decode.
        """
        data, header, factor = self
        flag = _REDUCED.get(factor, cv2.IMREAD_COLOR_RGB)
        if header.format == "JPEG":  # of the others the decoder reads it, and turns them
            flag |= cv2.IMREAD_IGNORE_ORIENTATION
        try:
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        except cv2.error:
            decoded = None
        if decoded is None:
            raise TruncatedImageError(f"the {header.format} header is sound but its pixels do not decode")
        pixels = np.asarray(decoded, np.uint8)
        if upright:
            pixels = turn(pixels, header.orientation)
        if header.format == "JPEG":
            width, height = header.upright_size
        else:  # decoded in full, so the pixels themselves say it, whatever metadata turned them
            height, width = pixels.shape[:2]
        return Picture(pixels, width, height, 1 if upright else header.orientation)


def read_encoded(
    data: bytes, *, at_least: tuple[int, int] | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Encoded:
    """Read the header alone; the arguments are those of `decode`.

    Raises:
        NoImageError: there are no bytes.
        NotAnImageError, TruncatedImageError: as `read_header`.
        TooManyPixelsError: the header announces more than `max_pixels`.
    """
    if not data:
        raise NoImageError("the image is empty (0 bytes)")
    header = read_header(data)
    if header.width * header.height > max_pixels:
        raise TooManyPixelsError(
            f"the {header.format} is {header.width} x {header.height} pixels; the limit is {max_pixels}"
        )
    return Encoded(data, header, _factor(header, at_least) if at_least and header.format == "JPEG" else 1)


def turn(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Pixels uint8 [h, w, 3] of an EXIF orientation, upright."""
    turned = _TURNS.get(orientation)
    return pixels if turned is None else np.asarray(turned(pixels), np.uint8)


def to_rgb(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BGR uint8 [h, w, 3] as RGB, in place."""
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), np.uint8)


def _factor(header: ImageHeader, at_least: tuple[int, int]) -> int:
    """The strongest reduction of a JPEG that leaves at least (height, width)."""
    width, height = header.upright_size
    fitting = (f for f in _REDUCED if height >= f * at_least[0] and width >= f * at_least[1])
    return next(fitting, 1)


def encode_jpeg(pixels: NDArray[np.uint8], *, quality: int = 90) -> bytes:
    """Encode RGB uint8 [h, w, 3] as JPEG; quality 1 to 100.

    Raises:
        InputError: the picture is too long for one.
    """
    return _encode(pixels, "JPEG", ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality], longest=_LONGEST_JPEG)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode RGB uint8 [h, w, 3] as PNG: nothing is lost, at about eight times the bytes of a JPEG.

    Raises:
        InputError: the picture is too long for one.
    """
    return _encode(pixels, "PNG", ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1], longest=_LONGEST_PNG)


def _encode(
    pixels: NDArray[np.uint8], kind: str, suffix: str, parameters: Sequence[int], *, longest: int
) -> bytes:
    height, width = pixels.shape[:2]
    if max(height, width) > longest:
        raise InputError(
            f"a picture of {width} x {height} pixels is too long for a {kind}, which takes {longest} a side"
        )
    ok, data = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), parameters)
    if not ok:
        raise ValueError(f"OpenCV cannot encode an array of shape {pixels.shape}")
    return data.tobytes()
