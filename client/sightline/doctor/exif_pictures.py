"""A JPEG that is stored on its side, with the EXIF orientation that says so."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sightline.geometry import Stretch
from sightline.images import decode, encode_jpeg

_ORIENTATION: Final = 6  # to be turned clockwise by a quarter (EXIF 2.32, 4.6)
_SOI: Final = 2  # bytes of the start mark, after which the block goes
_QUALITY: Final = 95


def sideways(upright: NDArray[np.uint8]) -> bytes:
    """A JPEG whose orientation, once applied, gives back `upright`, uint8 [h, w, 3] RGB."""
    stored = np.ascontiguousarray(np.rot90(upright))
    jpeg = encode_jpeg(stored, quality=_QUALITY)
    return jpeg[:_SOI] + _exif_block() + jpeg[_SOI:]


def upright_and_stored(data: bytes, size: tuple[int, ...]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The pixels of such a JPEG turned upright and left as they are, both at (height, width)."""
    turned = decode(data).pixels
    stored = np.ascontiguousarray(np.rot90(turned))
    stretch = Stretch(size[0], size[1])
    return stretch.apply(turned), stretch.apply(stored)


def _exif_block() -> bytes:
    """An APP1 segment with the orientation as its one entry."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, _ORIENTATION, 0)
    tiff = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 0)
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
