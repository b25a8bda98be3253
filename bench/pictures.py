"""The pictures that are sent: drawn, so that everybody measures with the same ones.

What a JPEG costs to decode depends on its bytes as much as on its pixels, so they are drawn with the
spectrum of a photograph (amplitude falling with frequency) and come out at a photograph's size:
about 0.1 bytes a pixel at quality 85.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

QUALITY: Final = 85  # of JPEG, 1 to 100; what cameras and web pages use
_FALL: Final = 0.58  # amplitude of an octave of detail beside the one below it
_EXIF_ROTATED: Final = 6  # stored lying on its left side: turn clockwise to see it upright


@dataclass(frozen=True, slots=True)
class Size:
    """A size of picture that is measured."""

    name: str
    width: int  # pixels
    height: int  # pixels


SIZES: Final = (
    Size("640x480", 640, 480),
    Size("1280x720", 1280, 720),
    Size("1920x1080", 1920, 1080),
    Size("4000x3000", 4000, 3000),
)
USUAL: Final = SIZES[1]
INPUT: Final = Size("300x300", 300, 300)  # what the detector that is measured looks at


def draw(size: Size, seed: int = 7) -> NDArray[np.uint8]:
    """A picture uint8 [h, w, 3] BGR: octaves of smooth noise, each finer and fainter, and some edges."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((size.height, size.width, 3), np.float32)
    amplitude, cells = 70.0, 3
    while cells < size.width:
        rows = max(2, cells * size.height // size.width)
        grid = rng.normal(0, 1, (rows, cells, 3)).astype(np.float32)
        grid = 0.75 * grid.mean(axis=2, keepdims=True) + 0.35 * grid  # colours vary less than light does
        canvas += amplitude * cv2.resize(grid, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
        amplitude, cells = amplitude * _FALL, cells * 2
    pixels = np.clip(canvas + 120, 0, 255).astype(np.uint8)
    for _ in range(24):
        x, y = int(rng.integers(size.width)), int(rng.integers(size.height))
        radius = int(rng.integers(size.height // 40, size.height // 6))
        color = [int(value) for value in rng.integers(0, 255, 3)]
        cv2.circle(pixels, (x, y), radius, color, thickness=max(2, radius // 8), lineType=cv2.LINE_AA)
    return pixels


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Encode BGR pixels as a camera would."""
    ok, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert ok
    return bytes(data.tobytes())


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode BGR pixels without loss."""
    ok, data = cv2.imencode(".png", pixels)
    assert ok
    return bytes(data.tobytes())


def turned(pixels: NDArray[np.uint8]) -> bytes:
    """The same picture as a camera held sideways stores it: turned, with the EXIF tag that says so."""
    data = jpeg(np.ascontiguousarray(cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE), np.uint8))
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, _EXIF_ROTATED, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def multipart(data: bytes, kind: str = "image/jpeg") -> tuple[bytes, str]:
    """A form with the picture of a content type as `image`, and the form's own content type."""
    boundary = "sightline-bench-boundary"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="picture.jpg"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    return (
        head.encode() + data + f"\r\n--{boundary}--\r\n".encode(),
        f"multipart/form-data; boundary={boundary}",
    )


def bytes_per_pixel(data: bytes, size: Size) -> float:
    """Of an encoded picture."""
    return len(data) / (size.width * size.height)


def facts(data: bytes, size: Size) -> dict[str, Any]:
    """For the report."""
    return {"size": size.name, "bytes": len(data), "bytes_per_pixel": round(bytes_per_pixel(data, size), 3)}
