"""Videos -> frames: from a file, bytes or an open file, one at a time."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Final, TypeAlias, Union

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.detections import ImageSize
from sightline.errors import InvalidOptionError, NotAVideoError, TooManyPixelsError
from sightline.geometry import Fit, Stretch
from sightline.images import DEFAULT_MAX_PIXELS, Picture
from sightline.video_capture import Capture, WholeCapture, capture_of
from sightline.video_container import VideoInfo, codec, frame_size, open_capture, read_info

FALLBACK_FPS: Final = 25.0  # frames per second, where the container does not say

VideoInput: TypeAlias = Union[str, "os.PathLike[str]", bytes, BinaryIO]

# Decoding starts this long before what is wanted: a file without an index (MPEG-TS) may be entered
# between key frames, and its pictures are damaged until the next one. Ten seconds hold 250 frames,
# the longest distance between key frames of the usual encoders.
_SEEK_MARGIN: Final = 10.0  # seconds
_SEEK_WORTH: Final = 20.0  # seconds; up to here decoding from the begin is as quick as a seek
_SAME_TIME: Final = 1e-6  # seconds; time stamps that differ by less are one
_DAMAGED: Final = 100  # frames in a row that may fail before a video is at its end
_TIME_DIGITS: Final = 6  # microseconds

# What a container says of its length is an estimate, and its sound may be longer than its pictures.
_SHORT: Final = 1.0  # seconds
_SHORT_SHARE: Final = 0.1  # of the length


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """Which frames of a video to look at; by default all.

    Raises:
        InvalidOptionError: a value is out of range, or two contradict each other.
    """

    fps: float | None = None  # frames per second of video: the first of each 1/fps seconds
    every: int | None = None  # the first of every so many frames; not with fps
    start: float = 0.0  # seconds; frames before it are passed over
    end: float | None = None  # seconds; frames at it or after it are not reached

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise InvalidOptionError(f"fps is {self.fps}; it is more than 0")
        if self.every is not None and self.every < 1:
            raise InvalidOptionError(f"every is {self.every}; it is at least 1")
        if self.fps is not None and self.every is not None:
            raise InvalidOptionError("give fps or every, not both")
        if not 0 <= self.start < math.inf:
            raise InvalidOptionError(f"start is {self.start}; it is 0 seconds or more")
        if self.end is not None and not self.end > self.start:
            raise InvalidOptionError(f"end is {self.end}; it is after start, {self.start}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame."""

    index: int  # counted from 0 at the first frame at or after FrameOptions.start
    time: float  # seconds from the begin of the video
    pixels: NDArray[np.uint8]  # [h, w, 3] RGB, upright
    size: ImageSize | None = None  # of the whole frame, where `pixels` were resized

    @property
    def image(self) -> Any:
        """What a detector is asked about: the pixels; resized ones with the frame's size, for a `Serving`."""
        size = self.size
        return self.pixels if size is None else Picture(self.pixels, size.width, size.height)


class Video:
    """An open video. Not safe to share between threads.

    Args:
        source: a path, the bytes of a file, or an open file. OpenCV's FFmpeg reads it.
        max_pixels: limit on width x height of a frame.

    Raises:
        NotAVideoError: there is no such file, no video in it, or none of its frames can be decoded.
        TooManyPixelsError: its frames have more than `max_pixels`.
    """

    def __init__(self, source: VideoInput, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        # OpenCV can read from a Python object, and crashed while its decoding threads did so.
        self._spooled = None if isinstance(source, str | os.PathLike) else _spooled(source)
        self._path = Path(self._spooled.name if self._spooled else source)  # type: ignore[arg-type]
        self._name = "what was sent" if self._spooled else str(source)
        opened = open_capture(self._path, self._name)
        self._capture: Capture = WholeCapture(opened)
        self.passed = 0  # frames that the last run of `frames` went through, asked for or not
        self.ended = False  # whether the last run of `frames` came to the video's end, and not to options.end
        self._reached = 0.0  # seconds
        try:
            self.info = self._begin(opened, max_pixels)
        except BaseException:
            self.close()
            raise
        self._resize: Stretch | Fit | None = None  # of the last run of `frames`
        self._at_first = True  # the first frame is decoded already

    def frames(
        self, options: FrameOptions | None = None, resize: Stretch | Fit | None = None
    ) -> Iterator[Frame]:
        """Decode the frames that are asked for, in the order of time; each call begins anew.

        Frames that are not asked for are not converted to pixels, which is most of their cost. The
        frames of [a, b) and of [b, c) together are those of [a, c), so a video can be cut into parts;
        with `fps`, where the cuts fall on multiples of 1/fps.

        Args:
            options: which frames.
            resize: applied to each: a model wants a tenth of the pixels of a film, and what is not kept
                need not be converted, held or sent on.
        """
        options = options or FrameOptions()
        self._resize = resize
        self._at_first = self._at_first and resize is None
        slot = -1
        self.passed = 0
        for index, time in enumerate(self._times(options)):
            self.passed = index + 1
            if options.fps is not None:
                now = math.floor((time + _SAME_TIME) * options.fps)
                wanted, slot = now > slot, now
            else:
                wanted = index % (options.every or 1) == 0
            if wanted and (read := self._capture.read()) is not None:
                pixels, size = read
                yield Frame(index, round(time, _TIME_DIGITS), pixels, None if resize is None else size)

    @property
    def cut_short(self) -> str | None:
        """What to say of a video whose pictures came to their end well before it should be over.

        FFmpeg reads what there is of a cut or damaged file, and calls that all. None where the last run of
        `frames` did not go to the end, or no more was promised.
        """
        promised = self.info.duration
        if not self.ended or promised is None or not self.info.fps:  # without a rate it is a sound's cover
            return None
        if promised - self._reached <= max(_SHORT, _SHORT_SHARE * promised):
            return None
        return f"the pictures end at {self._reached:.1f} of {promised:.1f} s; it may be cut short or damaged"

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()
        if self._spooled is not None:
            self._spooled.close()

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, opened: cv2.VideoCapture, max_pixels: int) -> VideoInfo:
        """Decode the first frame: a container may be sound and its codec one that FFmpeg lacks here."""
        width, height = frame_size(opened)
        if width < 1 or height < 1:
            raise NotAVideoError(f"{self._name} holds sound but no pictures")
        if width * height > max_pixels:
            raise TooManyPixelsError(f"the video is {width} x {height} pixels; the limit is {max_pixels}")
        self.info = VideoInfo(width, height, 0.0, None)  # the rest is known once a frame is
        if self._next() is None or self._capture.read() is None:
            raise NotAVideoError(
                f"no frame of {self._name} can be decoded: it is damaged, or its codec "
                f"({codec(opened)}) is not read here; H.264 is"
            )
        return read_info(opened, self._path)

    def _times(self, options: FrameOptions) -> Iterator[float]:
        """Step through the frames from start to end; each one's time, before its pixels are made."""
        for time in self._from(options.start):
            if options.end is not None and time + _SAME_TIME >= options.end:
                return
            yield time

    def _from(self, start: float) -> Iterator[float]:
        """The times of the frames at or after `start`.

        A seek may land late where the container's index is poor. Time stamps say so, and then it is
        tried from further back, at last from the begin.
        """
        margin = _SEEK_MARGIN
        while True:
            back = start - margin if start > _SEEK_WORTH else 0.0
            begun = self._reached if self._at_first and back <= 0 else self._entered(back)
            self._at_first = False
            if begun is None and back <= 0:
                return
            if begun is not None and (back <= 0 or begun + _SAME_TIME < start):
                break
            margin *= 4
        time: float | None = begun
        while time is not None:
            if time + _SAME_TIME >= start:
                yield time
            time = self._next()

    def _entered(self, at: float) -> float | None:
        """Open the file anew and seek; the time of the first frame there, or None."""
        self._capture.release()
        self._capture, self._reached = capture_of(self._path, self._name, self._resize), 0.0
        if at > 0:
            self._capture.seek(at)
        return self._next()

    def _next(self) -> float | None:
        """Decode the next frame; its time in seconds, or None at the end."""
        # A damaged place fails a few times, and what comes after it is sound; the end fails for ever.
        self.ended = not any(self._capture.grab() for _ in range(_DAMAGED))
        if self.ended:
            return None
        time = self._capture.time
        if time < self._reached:  # it has no time stamp, as the last frames of an AVI with B-frames
            time = self._reached + 1 / (self.info.fps or FALLBACK_FPS)
        self._reached = time
        return time


def _spooled(source: bytes | BinaryIO) -> IO[bytes]:
    """The video in a file of its own, which goes when it is closed."""
    file = tempfile.NamedTemporaryFile(prefix="sightline-", suffix=".video")  # noqa: SIM115  # outlives this
    if isinstance(source, bytes):
        file.write(source)
    else:
        shutil.copyfileobj(source, file)
    file.flush()
    return file
