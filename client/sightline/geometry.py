"""The one resize rule, and its inverse on boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Stretch:
    """Stretches a picture to the model's input size, bilinear, without keeping the aspect ratio.

    The rule of the Object Detection API's `fixed_shape_resizer`. Training, gateway, client and the
    in-graph path all follow it. A stretch leaves normalised boxes as they are, so the inverse on
    boxes is a multiplication by the size of the picture.
    """

    height: int  # pixels
    width: int  # pixels

    @property
    def sideways(self) -> Stretch:
        """The rule for a picture that is still to be turned by a quarter."""
        return Stretch(self.width, self.height)

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """What `apply` makes of a picture of height x width pixels."""
        return self.height, self.width

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize uint8 [h, w, 3] to uint8 [height, width, 3]."""
        if pixels.shape[0] == self.height and pixels.shape[1] == self.width:
            return pixels
        resized = cv2.resize(pixels, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, np.uint8)

    @staticmethod
    def to_pixels(boxes: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
        """Boxes float32 [N, 4], ymin xmin ymax xmax, 0 to 1, in pixels of a height x width picture."""
        return np.multiply(boxes, np.array([height, width, height, width], np.float32), dtype=np.float32)

    @staticmethod
    def to_normalized(boxes: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
        """The inverse of `to_pixels`."""
        return np.divide(boxes, np.array([height, width, height, width], np.float32), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Fit:
    """Shrinks a picture until its longer side is at most `side`, keeping its shape; never enlarges.

    For models that take any size and resize by themselves: it only spares the wire. Normalised boxes
    stay as they are, as with Stretch.
    """

    side: int  # pixels

    @property
    def height(self) -> int:
        """Pixels that a decoder need not go below."""
        return self.side

    @property
    def width(self) -> int:
        """Pixels that a decoder need not go below."""
        return self.side

    @property
    def sideways(self) -> Fit:
        """The rule for a picture that is still to be turned by a quarter: the same."""
        return self

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """What `apply` makes of a picture of height x width pixels."""
        scale = self.side / max(height, width)
        if scale >= 1:
            return height, width
        return max(1, round(height * scale)), max(1, round(width * scale))

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize uint8 [h, w, 3] so that neither side is above `side`."""
        return Stretch(*self.size_of(*pixels.shape[:2])).apply(pixels)


_KINDS: Final = {kind.__name__: kind for kind in (Stretch, Fit)}


def resize_to_json(resize: Stretch | Fit) -> dict[str, Any]:
    """A rule as plain values, for another process."""
    return {"kind": type(resize).__name__, **asdict(resize)}


def resize_from_json(plain: Mapping[str, Any]) -> Stretch | Fit:
    """The inverse of `resize_to_json`."""
    return _KINDS[plain["kind"]](**{name: value for name, value in plain.items() if name != "kind"})
