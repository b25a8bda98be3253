"""A live stream -> its newest frame, whenever one is wanted; for days, through cuts of the line."""

from __future__ import annotations

import math
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.errors import InvalidOptionError, StreamError
from sightline.video import Frame

SCHEMES: Final = ("rtsp", "rtsps", "http", "https", "rtmp", "udp", "tcp")
_EARLY: Final = 0.1  # of the time between two looks; so much early a frame counts as in time
_CAMERA: Final = re.compile(r"(?:camera:)?(\d+)")

Opener: TypeAlias = Callable[[], cv2.VideoCapture]


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How a stream is held on to.

    Raises:
        InvalidOptionError: a value is out of range.
    """

    fps: float | None = None  # frames per second to look at, at most; None looks at as many as can be done
    start_timeout: float = 30.0  # seconds until the first frame, through all attempts to connect
    read_timeout: float = 10.0  # seconds without a frame, after which the line counts as cut
    first_backoff: float = 0.5  # seconds before connecting again; doubles while it fails
    max_backoff: float = 30.0  # seconds

    def __post_init__(self) -> None:
        if self.fps is not None and not self.fps > 0:
            raise InvalidOptionError(f"fps is {self.fps}; it is more than 0")
        for name in ("start_timeout", "read_timeout", "first_backoff", "max_backoff"):
            if not getattr(self, name) > 0:
                raise InvalidOptionError(f"{name} is {getattr(self, name)}; it is more than 0 seconds")


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """What became of the frames so far; received = taken + dropped + skipped + the one that waits, if any."""

    received: int = 0
    taken: int = 0
    dropped: int = 0  # were too old when the next one came, because the detector was busy
    skipped: int = 0  # not asked for by `fps`
    connections: int = 0


class Pace:
    """Which frames of a live source to look at, by the moments at which they come.

    Args:
        fps: frames per second, at most; None wants all.
    """

    def __init__(self, fps: float | None) -> None:
        self._period = 0.0 if fps is None else 1 / fps  # seconds
        self._due = -math.inf

    def wants(self, now: float) -> bool:
        """Whether to look at the frame that comes now, in seconds on a clock that never goes back."""
        if now < self._due - _EARLY * self._period:
            return False
        # From when this one was due, so that a steady source is not thinned out more than asked; from now at
        # the begin and after a pause, for which nothing is made up.
        following = self._due + self._period
        self._due = following if following > now else now + self._period
        return True


class Stream:
    """A live source whose frames are read all the time, and of which the newest is kept.

    Who asks for frames too slowly misses some; nobody falls behind. A cut line is connected anew, with
    growing pauses, until the stream is closed.

    Args:
        address: `rtsp://...`, `http://...` (MJPEG), or a camera by number (`0`, `camera:0`).
        options: how it is held on to.
        opener: gives a capture; for tests, and for sources of your own.
    """

    def __init__(
        self, address: str, options: StreamOptions | None = None, *, opener: Opener | None = None
    ) -> None:
        self.options = options or StreamOptions()
        camera = _CAMERA.fullmatch(address)
        self.name = f"camera {camera[1]}" if camera else without_password(address)
        self._open = opener or _opener(address, self.options)
        self._pace = Pace(self.options.fps)
        self._news = threading.Condition()
        self._tally: Counter[str] = Counter()  # by the names of StreamCounts
        self._waiting: tuple[int, float, NDArray[np.uint8]] | None = None  # number, Unix time, BGR
        self._stopping = threading.Event()
        self._reader = threading.Thread(target=self._read, name=f"stream {self.name}", daemon=True)

    @property
    def counts(self) -> StreamCounts:
        """What became of the frames so far."""
        with self._news:
            return StreamCounts(**self._tally)

    def frames(self) -> Iterator[Frame]:
        """The newest frame, each time one is taken; ends when the stream is closed.

        A frame's index counts the frames received, from 0; its time is Unix time, of its arrival.

        Raises:
            StreamError: no frame came within `start_timeout`.
        """
        self._reader.start()
        timeout: float | None = self.options.start_timeout
        while True:
            with self._news:
                if not self._news.wait_for(lambda: self._waiting or self._stopping.is_set(), timeout):
                    raise StreamError(f"{self.name} gave no frame within {timeout:g} seconds")
                if self._waiting is None:
                    return
                (number, arrived, bgr), self._waiting = self._waiting, None
                self._tally.update(taken=1)
            timeout = None
            yield Frame(number, arrived, np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), np.uint8))

    def close(self) -> None:
        """End `frames`; may be called from another thread or a signal's handler."""
        self._stopping.set()
        # A handler may have interrupted the very thread that holds the lock, so it is not waited for here.
        threading.Thread(target=self._wake, daemon=True).start()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._reader.is_alive():
            self._reader.join(self.options.read_timeout)

    def _wake(self) -> None:
        with self._news:
            self._news.notify_all()

    def _read(self) -> None:
        """Connect, read until the line is cut, wait, and again."""
        backoff = self.options.first_backoff
        while not self._stopping.is_set():
            capture = self._open()
            if capture.isOpened() and self._pump(capture):
                backoff = self.options.first_backoff
            capture.release()
            self._stopping.wait(backoff * random.uniform(0.5, 1))  # noqa: S311  # spreads many clients
            backoff = min(backoff * 2, self.options.max_backoff)

    def _pump(self, capture: cv2.VideoCapture) -> bool:
        """Read until there are no more frames; whether there were any."""
        any_came = False
        while not self._stopping.is_set() and capture.grab():
            ok, bgr = capture.retrieve() if self._pace.wants(time.monotonic()) else (False, None)
            with self._news:
                if not any_came:
                    self._tally.update(connections=1)
                    any_came = True
                number = self._tally["received"]
                self._tally.update(
                    received=1, skipped=int(not ok), dropped=int(ok and self._waiting is not None)
                )
                if ok and bgr is not None:
                    self._waiting = (number, time.time(), np.asarray(bgr, np.uint8))
                    self._news.notify()
        return any_came


def without_password(address: str) -> str:
    """The address as it may be shown and logged."""
    parts = urlsplit(address)
    if parts.password is None:
        return address
    return parts._replace(netloc=f"{parts.username}:***@{parts.netloc.rpartition('@')[2]}").geturl()


def _opener(address: str, options: StreamOptions) -> Opener:
    camera = _CAMERA.fullmatch(address)
    if camera is not None:
        return lambda: cv2.VideoCapture(int(camera[1]))
    if urlsplit(address).scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise InvalidOptionError(f"{address!r} is no stream; give a camera's number, or one of {known}")
    limit = round(options.read_timeout * 1000)  # milliseconds
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
    return lambda: cv2.VideoCapture(address, cv2.CAP_FFMPEG, limits)
