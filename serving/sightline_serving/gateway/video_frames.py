"""A video's frames, decoded in a process of its own with limits on time and memory."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import numpy as np
import orjson

from sightline.detections import ImageSize
from sightline.errors import (
    BodyTooLargeError,
    DeadlineError,
    NotAVideoError,
    SightlineError,
    every_error,
)
from sightline.geometry import Fit, Stretch, resize_to_json
from sightline.video import Frame, FrameOptions
from sightline.video_container import VideoInfo
from sightline_serving.gateway.settings import Settings
from sightline_serving.gateway.video_decoder import HEAD, SAY_WHICH

STALL: Final = 30.0  # seconds that a decoder may take for its next frame, seeking included
_PIPE: Final = 2**20  # bytes that the pipe holds; the kernel's default of 64 KiB is many turns a frame
_SET_PIPE_SIZE: Final = 1031  # F_SETPIPE_SZ of fcntl(2)
_ENDED_EARLY: Final = "the video's decoder ended early; the file is damaged or too costly"
_TOO_SLOW: Final = "the video takes too long to decode"
_NO_THREADS: Final = {"OPENBLAS_NUM_THREADS": "1"}  # numpy would start one for each core
_ERRORS: Final = {cls.code: cls for cls in every_error()}


class DecodedVideo:
    """A video that is being decoded elsewhere; closing it ends that at once.

    Args:
        path: of the file.
        options: which frames.
        resize: how the model wants them.
        settings: the gateway's, for the limits.

    Raises:
        NotAVideoError, TooManyPixelsError: at once, before any frame.
        BodyTooLargeError: it is longer than the limit.
    """

    def __init__(self, path: Path, options: FrameOptions, resize: Stretch | Fit, settings: Settings) -> None:
        self.warning: str | None = None  # once all frames were read: why there may have been more
        self._deadline = time.monotonic() + settings.video_timeout
        self._max_frames = settings.max_frames
        self._max_seconds = settings.max_video_seconds
        asked = {
            "path": str(path),
            "options": dataclasses.asdict(options),
            "resize": resize_to_json(resize),
            "max_pixels": settings.max_pixels,
            "max_seconds": settings.max_video_seconds,
            "memory": settings.video_memory,
            "seconds": int(settings.video_timeout) + 1,
        }
        command = (
            sys.executable,
            "-m",
            "sightline_serving.gateway.video_decoder",
            orjson.dumps(asked).decode(),
        )
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, **_NO_THREADS},
        )
        try:
            self._prepare()
            head = self._message()
            if head is None:
                raise NotAVideoError("the video's decoder gave up on it")
            self.info = VideoInfo(**head["info"])
            if self.info.duration is not None and self.info.duration - options.start > self._max_seconds:
                self._check_length(options)
        except BaseException:
            self.close()
            raise

    def frames(self) -> Iterator[Frame]:
        """The frames as they are decoded, resized.

        Raises:
            SightlineError: the video is damaged, too long, or takes too long.
        """
        count = 0
        while (head := self._message()) is not None:
            if (end := head.get("end")) is not None:
                self.warning = end["warning"]
                continue
            count += 1
            if count > self._max_frames:
                raise BodyTooLargeError(f"more than {self._max_frames} frames; ask for fewer by fps or every")
            pixels = np.empty(head["shape"], np.uint8)
            self._fill(pixels.reshape(-1).data)
            yield Frame(head["index"], head["time"], pixels, ImageSize(**head["size"]))

    def close(self) -> None:
        """End the decoder, whatever it does."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> DecodedVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_length(self, options: FrameOptions) -> None:
        if options.end is None or options.end - options.start > self._max_seconds:
            raise BodyTooLargeError(
                f"the video lasts {self.info.duration:.0f} s; at most "
                f"{self._max_seconds:.0f} s are looked at{SAY_WHICH}"
            )

    def _message(self) -> dict[str, Any] | None:
        """The next message; None at the end."""
        lengths = bytearray(HEAD.size)
        if not self._read(memoryview(lengths)):
            if self._process.wait() != 0:
                raise NotAVideoError(_ENDED_EARLY)
            return None
        text = bytearray(HEAD.unpack(lengths)[0])
        self._fill(memoryview(text))
        message: dict[str, Any] = orjson.loads(text)
        if (problem := message.get("error")) is not None:
            raise _ERRORS.get(problem["code"], SightlineError)(problem["detail"])
        return message

    def _fill(self, data: memoryview) -> None:
        """Read what belongs to a message that has begun, straight to where it is wanted."""
        if not self._read(data):
            raise NotAVideoError(_ENDED_EARLY)

    def _read(self, data: memoryview) -> bool:
        """Read as many bytes as there is room for; False where the decoder has ended before."""
        out = self._process.stdout
        if out is None:
            raise ValueError("the decoder's output is a pipe")
        while data:
            if time.monotonic() > self._deadline:
                raise DeadlineError(_TOO_SLOW)
            count = out.readinto(data)  # type: ignore[attr-defined]  # a FileIO
            if count is None:
                self._wait(out)
            elif count == 0:
                return False
            else:
                data = data[count:]
        return True

    def _wait(self, out: IO[bytes]) -> None:
        """Until the decoder has written something, or ended."""
        patience = min(STALL, self._deadline - time.monotonic())
        waiting = select.poll()  # not select(), which takes no descriptor above 1023
        waiting.register(out, select.POLLIN)
        if patience <= 0 or not waiting.poll(patience * 1000):
            raise DeadlineError(_TOO_SLOW)

    def _prepare(self) -> None:
        """Never wait in a read; a wider pipe where the system lets us, it works without."""
        if self._process.stdout is None:
            raise ValueError("the decoder's output is a pipe")
        os.set_blocking(self._process.stdout.fileno(), False)
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.fcntl(self._process.stdout, _SET_PIPE_SIZE, _PIPE)
