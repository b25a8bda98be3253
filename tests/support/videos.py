"""Videos drawn for tests: each frame carries its number as black and white blocks along its top."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from support.tools import tool

WIDTH, HEIGHT, FPS = 320, 240, 25
_BITS = 16
_BLOCK = WIDTH // _BITS


def numbered_frames(count: int, *, start: int = 0) -> Iterator[NDArray[np.uint8]]:
    """RGB frames [240, 320, 3]: the number in blocks, below it a red disc that moves two pixels a frame."""
    for number in range(start, start + count):
        frame = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
        for bit in range(_BITS):
            frame[:_BLOCK, bit * _BLOCK : (bit + 1) * _BLOCK] = 255 if number >> bit & 1 else 0
        cv2.circle(frame, (20 + 2 * number % (WIDTH - 40), 150), 18, (230, 30, 20), -1)
        yield frame


def number_of(pixels: NDArray[np.uint8]) -> int:
    """The number that a decoded frame carries, however lossy its encoding was, at any scale."""
    height, width = pixels.shape[:2]
    block = width / _BITS
    middle = round(_BLOCK / 2 * height / HEIGHT)
    return sum(int(pixels[middle, round((bit + 0.5) * block)].mean() > 128) << bit for bit in range(_BITS))


def needs_ffmpeg() -> str:
    """The program; a test without it is skipped."""
    return tool("ffmpeg")


def write_video(
    path: Path,
    count: int,
    *options: str,
    frames: Iterable[NDArray[np.uint8]] | None = None,
    sound: bool = False,
) -> Path:
    """Encode numbered frames (or others of that size) with ffmpeg; `options` choose the encoder."""
    tone = ("-f", "lavfi", "-i", f"sine=duration={count / FPS}") if sound else ()
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "-")
    options = options or ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    command = [needs_ffmpeg(), "-y", "-loglevel", "error", *raw, *tone, *options, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for frame in numbered_frames(count) if frames is None else frames:
            process.stdin.write(frame.tobytes())
        process.stdin.close()
        assert process.wait(timeout=120) == 0
    return path


def undecodable(path: Path) -> Path:
    """Wipe out the pictures of an MP4 that ffmpeg wrote; what its container says stays."""
    data = path.read_bytes()
    begin, end = data.index(b"mdat") + 4, data.rindex(b"moov") - 4
    path.write_bytes(data[:begin] + bytes(end - begin) + data[end:])
    return path
