"""A video with its boxes drawn on, and its sound kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sightline.detections import Detection
from sightline.draw import draw
from sightline.errors import InvalidOptionError
from sightline.frame_result import FrameResult
from sightline.video import FALLBACK_FPS, FrameOptions, Video
from sightline.video_writer import open_writer
from sightline.whole_file import PART_SUFFIX

SUFFIXES: Final = (".mp4", ".mov", ".mkv", ".avi")


def annotate(source: Path, records: Iterable[FrameResult], out: Path, options: FrameOptions) -> None:
    """Read the video once more and write it with the boxes of each record, from its frame to the next's.

    A second reading costs decoding, and saves holding every frame in memory until its record is there.
    With ffmpeg on the path the sound comes along; without it, OpenCV writes the pictures alone.

    Args:
        source: the video that the records are about.
        records: in the order of time.
        out: one of SUFFIXES; gets its name when it is whole.
        options: those that the records were made with; of them, start and end bound what is written.

    Raises:
        InvalidOptionError: `out` has another suffix.
        OSError: it cannot be written.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise InvalidOptionError(f"{out} should end in one of {', '.join(SUFFIXES)}")
    part = out.with_name(f".{out.stem}.{os.getpid()}{PART_SUFFIX}{out.suffix}")  # encoders go by the suffix
    try:
        with Video(source) as video:
            fps = video.info.fps or FALLBACK_FPS
            with open_writer(source, part, video.info, fps, options) as writer:
                for pixels in _at_constant_rate(video, records, options, fps):
                    writer.write(pixels)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _at_constant_rate(
    video: Video, records: Iterable[FrameResult], options: FrameOptions, fps: float
) -> Iterator[NDArray[np.uint8]]:
    """The drawn frames, repeated or left out where the source's rate varies, so that sound stays in step."""
    coming = iter(records)
    following = next(coming, None)
    found: tuple[Detection, ...] = ()
    written = 0
    for frame in video.frames(FrameOptions(start=options.start, end=options.end)):
        while following is not None and following.time <= frame.time:
            found = named_by_track(following)
            following = next(coming, None)
        due = round((frame.time - options.start) * fps) + 1  # frames that should be out by now
        if due > written:
            drawn = draw(frame.pixels, found)
            for _ in range(due - written):
                yield drawn
            written = due


def named_by_track(record: FrameResult) -> tuple[Detection, ...]:
    """The detections, each label followed by the identity where there is one."""
    if record.tracks is None:
        return record.result.detections
    return tuple(
        found if track is None else replace(found, label=f"{found.label} #{track}")
        for found, track in zip(record.result.detections, record.tracks, strict=True)
    )
