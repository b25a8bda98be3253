"""The picture that a result is about, drawn when a notebook asks to see it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sightline.detections import Detection
from sightline.draw import draw
from sightline.errors import InputError
from sightline.geometry import Stretch
from sightline.images import decode, encode_png
from sightline.inputs import ImageInput, load

LONGEST_SIDE: Final = 960  # pixels; a notebook keeps what it shows in its file


@dataclass(frozen=True, slots=True)
class Shown:
    """Remembers what was asked about; holds no copy, so a file that is gone by then is not shown."""

    image: ImageInput

    def png(self, detections: Iterable[Detection]) -> bytes | None:
        """The picture with boxes as PNG, no larger than LONGEST_SIDE; None where it cannot be read again."""
        try:
            if hasattr(self.image, "seek"):
                self.image.seek(0)
            loaded = load(self.image)
            pixels = decode(loaded).pixels if isinstance(loaded, bytes) else loaded
        except (InputError, ValueError, OSError):  # gone, or a file that was closed
            return None
        height, width = pixels.shape[:2]
        scale = min(1.0, LONGEST_SIDE / max(height, width))
        size = Stretch(max(1, round(height * scale)), max(1, round(width * scale)))
        return encode_png(draw(size.apply(pixels), detections))
