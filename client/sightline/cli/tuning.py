"""What a command that goes through many frames sets for its process, which the library leaves to programs."""

from __future__ import annotations

from sightline.allocator import keep_large_blocks
from sightline.grpc_waiting import wait_in_place


def tune_for_frames() -> None:
    """Keep the memory of frames, and let the frames in flight be all the parallelism there is."""
    import cv2

    keep_large_blocks()
    wait_in_place()
    cv2.setNumThreads(1)
