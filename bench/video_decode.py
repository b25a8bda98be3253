"""Decoding alone, and as a film: what the video lines are compared with.

python -m bench.video_decode FILE      # "{}" on a line -> frames, CPU and wall seconds as JSON on a line
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from bench.pictures import USUAL, Size, draw
from sightline import allocator
from sightline.video import Video

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


def main() -> None:
    """Decode the whole file for each line, with the frames as the detector gets them."""
    cv2.setNumThreads(1)
    allocator.keep_large_blocks()
    for _ in sys.stdin:
        cpu, begun = time.process_time(), time.perf_counter()
        with Video(sys.argv[1]) as video:
            frames = sum(1 for _ in video.frames())
        told = {
            "frames": frames,
            "cpu_seconds": time.process_time() - cpu,
            "seconds": time.perf_counter() - begun,
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
