"""Batch jobs for tests: their inputs, and what is to be done with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from support.videos import numbered_frames, write_video

from sightline.batch.work import Work
from sightline.images import encode_jpeg
from sightline.interface import Detector
from sightline.options import DetectOptions

FRAMES = 100  # of the video


def write_inputs(folder: Path) -> Path:
    """Three pictures, one that is none, a video, a broken one, and a file of another kind."""
    (folder / "sub").mkdir()
    for number, frame in enumerate(numbered_frames(3)):
        (folder / ("sub" if number == 2 else ".") / f"photo{number}.jpg").write_bytes(encode_jpeg(frame))
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "notes.txt").write_text("no input")
    write_video(folder / "film.mp4", FRAMES)
    return folder


def work(
    opener: Callable[[], Detector], *, fps: float | None = None, in_flight: int = 2, patience: float = 5
) -> Work:
    return Work(opener, DetectOptions(), fps, in_flight, patience)


def lines(content: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in content.splitlines()]
