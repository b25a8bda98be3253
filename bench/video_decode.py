"""Decoding alone, and as a film: what the video lines are compared with.

python -m bench.video_decode FILE      # {"way": "loop"} on a line -> frames, CPU and wall seconds, as JSON
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from bench.null_serving import SIDE
from bench.pictures import USUAL, Size, draw
from sightline import allocator
from sightline.geometry import Stretch
from sightline.video import Video

# Ways to decode a film. The first is what the video lines are compared with: the loop that everybody writes,
# with OpenCV's own settings, so that nothing that Sightline does to its decoding can move it.
LOOP: Final = "loop"
RESIZED: Final = "resized"  # by Sightline, to the model's size

RATE: Final = 25.0  # frames per second of the film
_SHIFT: Final = 4  # pixels a frame that the camera pans


def film(path: Path, frames: int, size: Size = USUAL) -> Path:
    """Write a film of a camera panning over a drawn picture, unless it is there: MPEG-4, without sound."""
    if path.exists():
        return path
    wide = draw(Size("panorama", size.width * 2, size.height))
    beside = path.with_suffix(".part.mp4")
    writer = cv2.VideoWriter(str(beside), cv2.VideoWriter.fourcc(*"mp4v"), RATE, (size.width, size.height))
    for number in range(frames):
        left = number * _SHIFT % size.width
        writer.write(np.ascontiguousarray(wide[:, left : left + size.width]))
    writer.release()
    beside.replace(path)
    return path


def _loop(path: str) -> int:
    """Every frame in full, as RGB."""
    capture, frames = cv2.VideoCapture(path), 0
    while True:
        ok, bgr = capture.read()
        if not ok:
            return frames
        cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)
        frames += 1


def _resized(path: str) -> int:
    with Video(path) as video:
        return sum(1 for _ in video.frames(resize=Stretch(SIDE, SIDE)))


_WAYS: Final[dict[str, Callable[[str], int]]] = {LOOP: _loop, RESIZED: _resized}


def main() -> None:
    """Decode the whole file for each line, in the way that it asks for."""
    cv2.setNumThreads(1)
    allocator.keep_large_blocks()
    for line in sys.stdin:
        decode = _WAYS[json.loads(line)["way"]]
        cpu, begun = time.process_time(), time.perf_counter()
        frames = decode(sys.argv[1])
        told = {
            "frames": frames,
            "cpu_seconds": time.process_time() - cpu,
            "seconds": time.perf_counter() - begun,
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
