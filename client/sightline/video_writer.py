"""Frames into a video file: with ffmpeg, and the sound of another file; else with OpenCV, silent."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.video import FrameOptions
from sightline.video_container import VideoInfo

_FINISH: Final = 60.0  # seconds for ffmpeg to encode the last frames
_FINEST_ASPECT: Final = 1000  # of the shape of pixels, the largest number in the fraction


class FrameWriter(Protocol):
    """Takes frames of one size at a constant rate."""

    def write(self, pixels: NDArray[np.uint8]) -> None:
        """Write one frame, RGB uint8 [h, w, 3]."""
        ...


def keeps_sound() -> bool:
    """Whether there is what it takes to keep the sound."""
    return shutil.which("ffmpeg") is not None


@contextmanager
def open_writer(
    sound: Path, path: Path, info: VideoInfo, fps: float, options: FrameOptions
) -> Iterator[FrameWriter]:
    """Write a video as long as the block lasts.

    Args:
        sound: the file whose sound, between the options' start and end, goes along.
        path: where to; its suffix says in which container.
        info: of it, the size of the frames and the shape of their pixels, which OpenCV cannot note.
        fps: frames per second.
        options: start and end.

    Raises:
        OSError: it cannot be written.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        with _opencv(path, info, fps) as writer:
            yield writer
        return
    frames = f"-f rawvideo -pix_fmt rgb24 -s {info.width}x{info.height} -r {fps} -i -".split()
    length = [] if options.end is None else ["-t", str(options.end - options.start)]
    source = ["-ss", str(options.start), *length, "-i", str(sound.absolute())]
    streams = ["-map", "0:v", "-map", "1:a?", "-c:a", "aac"]
    shape = f"setsar=sar={info.pixel_aspect}:max={_FINEST_ASPECT}"
    shown_everywhere = ["-vf", f"pad=ceil(iw/2)*2:ceil(ih/2)*2,{shape}", "-pix_fmt", "yuv420p"]
    out = [*streams, *shown_everywhere, str(path)]
    with _ffmpeg([program, "-y", "-loglevel", "error", *frames, *source, *out]) as writer:
        yield writer


@contextmanager
def _ffmpeg(command: list[str]) -> Iterator[FrameWriter]:
    with tempfile.TemporaryFile() as told:  # a pipe that nobody reads meanwhile could fill up
        # In a session of its own Ctrl-C on a terminal does not reach it: that it ends is for us to say.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=told, start_new_session=True)
        try:
            assert process.stdin is not None  # noqa: S101  # for mypy; PIPE was asked for
            try:
                yield _Pipe(process.stdin)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it ended early, and said why
            process.wait(_FINISH)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            told.seek(0)
            first, *_ = told.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise OSError(f"ffmpeg: {first}")


class _Pipe:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, pixels: NDArray[np.uint8]) -> None:
        self._stream.write(np.ascontiguousarray(pixels).data)


@contextmanager
def _opencv(path: Path, info: VideoInfo, fps: float) -> Iterator[FrameWriter]:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (info.width, info.height))
    if not writer.isOpened():
        raise OSError(f"OpenCV cannot write {path.suffix} files here; install ffmpeg")
    try:
        yield _OpenCv(writer)
    finally:
        writer.release()


class _OpenCv:
    def __init__(self, writer: cv2.VideoWriter) -> None:
        self._writer = writer

    def write(self, pixels: NDArray[np.uint8]) -> None:
        self._writer.write(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
