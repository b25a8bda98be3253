"""A video's container: opened, and what it says of the pictures in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2

from sightline.errors import NotAVideoError

_MOST_FPS: Final = 1000.0  # above it stands FFmpeg's clock, not a rate: for a cover beside a sound, 90000
_MATROSKA: Final = b"\x1a\x45\xdf\xa3"  # what MKV and WebM begin with
_SIDEWAYS: Final = (90.0, 270.0)  # degrees


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What the container says of a video."""

    width: int  # pixels, upright
    height: int  # pixels, upright
    fps: float  # frames per second, the average where it varies; 0 where unknown
    duration: float | None  # seconds, an estimate; None where unknown
    pixel_aspect: float = 1.0  # a pixel's width over its height, upright


def open_capture(path: Path, name: str) -> cv2.VideoCapture:
    """Open a file; errors call it `name`.

    Raises:
        NotAVideoError: there is no such file, or no video in it.
    """
    if path.is_dir():
        raise NotAVideoError(f"{name} is a folder; name a video in it")
    if not path.is_file():
        raise NotAVideoError(f"there is no file {name}")
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:  # OpenCV would take the process down
        raise NotAVideoError(f"{name!a} has a name that is not UTF-8; rename it") from None
    if not path.stat().st_size:
        raise NotAVideoError(f"{name} is empty (0 bytes)")
    # An absolute path cannot be taken for one of FFmpeg's protocols ("concat:...").
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise NotAVideoError(f"{name} holds no video that FFmpeg reads, or only its begin")
    return capture


def frame_size(capture: cv2.VideoCapture) -> tuple[int, int]:
    """Width and height in pixels, upright; 0 where there are no pictures."""
    return int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))


def codec(capture: cv2.VideoCapture) -> str:
    """The codec's four letters, such as `av01`."""
    letters = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    return letters.decode("ascii", "replace").strip("\0 ")


def read_info(capture: cv2.VideoCapture, path: Path) -> VideoInfo:
    """What is said of a video whose first frame has just been decoded."""
    clock = capture.get(cv2.CAP_PROP_FPS)
    fps = clock if 0 < clock <= _MOST_FPS else 0.0
    return VideoInfo(*frame_size(capture), fps, _duration(capture, path, clock), _pixel_aspect(capture))


def _duration(capture: cv2.VideoCapture, path: Path, clock: float) -> float | None:
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    if not (0 < clock < math.inf and count > 0):
        return None
    duration: float = count / clock
    with path.open("rb") as file:
        if file.read(len(_MATROSKA)) == _MATROSKA:  # it tells when it ends, not how long it lasts
            # A frame's time stamp goes on from the begin that it was given; its position counts from 0.
            stamp, position = capture.get(cv2.CAP_PROP_PTS) / clock, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            duration -= max(stamp - position, 0.0)
    return duration if duration > 0 else None


def _pixel_aspect(capture: cv2.VideoCapture) -> float:
    across, down = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    if not (0 < across < math.inf and 0 < down < math.inf):
        return 1.0
    sideways = capture.get(cv2.CAP_PROP_ORIENTATION_META) in _SIDEWAYS
    return down / across if sideways else across / down
