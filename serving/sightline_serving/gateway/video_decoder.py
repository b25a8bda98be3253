"""A process that decodes one video: `python -m sightline_serving.gateway.video_decoder`.

A video is decoded apart from the service because a broken or hostile one can crash, hang or bloat a
decoder. This process limits its own memory and processor time, writes messages to its standard output
and ends; whoever started it may kill it at any moment.

A message is a length (`HEAD`) and so many bytes of JSON: `{"info": …}` once a frame could be decoded; then,
with the pixels of each frame behind it (uint8, RGB, resized for the model already, so that a tenth of a
film's pixels goes through the pipe),
`{"index": 0, "time": 0.0, "size": {"width": …, "height": …}, "shape": [h, w, 3]}`;
at the end `{"end": {"warning": …}}`, which says what is to be doubted, or null; or `{"error": problem}` at
any point.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import struct
import sys
from typing import Any, BinaryIO, Final

import cv2
import orjson

from sightline.allocator import keep_large_blocks
from sightline.errors import BodyTooLargeError, NotAVideoError, SightlineError
from sightline.geometry import resize_from_json
from sightline.video import FrameOptions, Video

SAY_WHICH: Final = "; say start and end"
HEAD: Final = struct.Struct("<I")  # bytes of a message's JSON
_NONE: Final = memoryview(b"")


def main(arguments: bytes) -> None:
    """Decode as the arguments say: JSON, as `DecodedVideo` writes it."""
    asked = orjson.loads(arguments)
    # Messages have the standard output for themselves; the codecs' complaints go nowhere.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    resource.setrlimit(resource.RLIMIT_AS, (asked["memory"], asked["memory"]))
    resource.setrlimit(resource.RLIMIT_CPU, (asked["seconds"], asked["seconds"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cv2.setNumThreads(1)
    keep_large_blocks()
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "protocol_whitelist;file"  # no file may name another host
    try:
        _decode(out, asked)
    except SightlineError as fault:
        told = fault.problem()
        told["detail"] = told["detail"].replace(asked["path"], "the file")  # where it lies is ours to know
        _write(out, {"error": told})
    except (MemoryError, cv2.error) as fault:
        words = f"the video cannot be decoded within its limits: {type(fault).__name__}"
        _write(out, {"error": NotAVideoError(words).problem()})


def _decode(out: BinaryIO, asked: dict[str, Any]) -> None:
    options, most = FrameOptions(**asked["options"]), asked["max_seconds"]
    limit = options.start + most
    bounded = options.end is None or options.end > limit
    if bounded:  # a container may tell no length, or a wrong one
        options = dataclasses.replace(options, end=limit)
    with Video(asked["path"], max_pixels=asked["max_pixels"]) as video:
        _write(out, {"info": dataclasses.asdict(video.info)})
        for frame in video.frames(options, resize_from_json(asked["resize"])):
            pixels = frame.pixels
            head = {"index": frame.index, "time": frame.time, "size": frame.size, "shape": pixels.shape}
            _write(out, head, pixels.reshape(-1).data)
        if bounded and not video.ended:
            raise BodyTooLargeError(
                f"the video goes on beyond the {most:.0f} s that are looked at{SAY_WHICH}"
            )
        _write(out, {"end": {"warning": video.cut_short}})


def _write(out: BinaryIO, message: dict[str, Any], pixels: memoryview = _NONE) -> None:
    text = orjson.dumps(message)
    _write_all(out, memoryview(HEAD.pack(len(text)) + text))
    _write_all(out, pixels)


def _write_all(out: BinaryIO, data: memoryview) -> None:
    while data:  # a pipe takes a part at a time
        data = data[out.write(data) :]


if __name__ == "__main__":
    main(sys.argv[1].encode())
