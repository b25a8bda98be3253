"""An open video file, frame by frame: as OpenCV gives the frames, or with only the pixels that are wanted."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.detections import ImageSize
from sightline.ffmpeg import bundled
from sightline.geometry import Fit, Stretch
from sightline.images import to_rgb
from sightline.planar_capture import PlanarCapture
from sightline.video_container import open_capture

log = logging.getLogger(__name__)


class Capture(Protocol):
    """A file that is open for decoding."""

    def grab(self) -> bool:
        """Decode the next frame; False at the end, and at a damaged place."""

    @property
    def time(self) -> float:
        """Seconds from the video's begin, of the frame that was decoded last; 0 where it has no time."""

    def read(self) -> tuple[NDArray[np.uint8], ImageSize] | None:
        """The frame that was decoded last: RGB uint8 [h, w, 3], upright and resized, and its size before."""

    def seek(self, seconds: float) -> None:
        """Go on near a time."""

    def release(self) -> None:
        """Let go of the file."""


class WholeCapture:
    """Frames as OpenCV's capture makes them, and resized then."""

    def __init__(self, capture: cv2.VideoCapture, resize: Stretch | Fit | None = None) -> None:
        self._capture, self._resize = capture, resize
        self._whole: NDArray[np.uint8] | None = None  # the last whole frame, written over by the next

    def grab(self) -> bool:
        """As `Capture.grab`."""
        return self._capture.grab()

    @property
    def time(self) -> float:
        """As `Capture.time`."""
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def read(self) -> tuple[NDArray[np.uint8], ImageSize] | None:
        """As `Capture.read`."""
        ok, decoded = self._capture.retrieve(self._whole)
        if not ok:
            return None
        bgr = np.asarray(decoded, np.uint8)
        small = bgr if self._resize is None else self._resize.apply(bgr)
        self._whole = None if small is bgr else bgr
        return to_rgb(small), ImageSize(bgr.shape[1], bgr.shape[0])

    def seek(self, seconds: float) -> None:
        """As `Capture.seek`."""
        self._capture.set(cv2.CAP_PROP_POS_MSEC, seconds * 1000)

    def release(self) -> None:
        """As `Capture.release`."""
        self._capture.release()


def capture_of(path: Path, name: str, resize: Stretch | Fit | None) -> Capture:
    """Open a file for its frames at a size; errors call it `name`.

    Raises:
        NotAVideoError: there is no such file, or no video in it.
    """
    whole = open_capture(path, name)
    library = None if resize is None else bundled()
    if resize is None or library is None:
        return WholeCapture(whole, resize)
    turned = int(whole.get(cv2.CAP_PROP_ORIENTATION_META))
    try:
        planar = PlanarCapture(library, str(path.absolute()), resize, turned)
    except OSError as fault:
        log.debug("%s is decoded by OpenCV's capture: %s", name, fault)
        return WholeCapture(whole, resize)
    whole.release()
    return planar
