"""Encoded pictures for tests of what takes pictures."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """A picture as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(width: int = 160, height: int = 120, *, bright: bool = True) -> bytes:
    """A smooth picture; the fake model server finds two droids in a bright one and one in a dark one."""
    slope = np.linspace(150, 250, width) if bright else np.linspace(10, 90, width)
    pixels = np.repeat(np.tile(slope.astype(np.uint8), (height, 1))[:, :, None], 3, axis=2)
    return encoded(Image.fromarray(pixels), quality=90)
