"""An HTTP request -> the video it holds, in a file, and what it asks of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from sightline.errors import InputError, MediaTypeError, NotAVideoError
from sightline.options import DetectOptions
from sightline.video import FrameOptions
from sightline_serving.gateway.asked_options import video_options
from sightline_serving.gateway.requests import RAW, once, refuse_coding, together
from sightline_serving.gateway.settings import Settings

FIELD: Final = "video"  # of a form
TAKEN: Final = "send one video as it is (video/mp4 and the like) or a multipart form with `video`"
_CHUNK: Final = 2**20  # bytes copied at a time
# What a file begins with, after so many bytes. FFmpeg reads far more, among it playlists, whose entries it
# would open: other files, other hosts. Only what holds its pictures itself comes before it.
_BEGINS: Final = (
    *((4, box) for box in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")),  # MP4, MOV
    (0, b"\x1a\x45\xdf\xa3"),  # WebM, MKV
    (0, b"RIFF"),  # AVI
    (0, b"GIF8"),
    (0, b"\x00\x00\x01\xba"),  # MPEG programme stream
    (0, b"\x47"),  # MPEG transport stream
    (0, b"FLV"),
    (0, b"OggS"),
)


def read_video(request: Request, path: Path, settings: Settings) -> tuple[DetectOptions, FrameOptions]:
    """Write the video of a request to a file, and read its options.

    Raises:
        InputError: there is no video, or too large a one, or an option is unknown or wrong.
    """
    request.max_content_length = settings.max_video
    kind = request.mimetype
    refuse_coding(request)
    values: Mapping[str, Any] = once(request.args)
    if kind in RAW or kind.startswith(("video/", "image/gif")):
        with path.open("wb") as file:
            shutil.copyfileobj(request.stream, file, _CHUNK)
        if path.stat().st_size == settings.max_video and request.content_length is None:
            raise RequestEntityTooLarge  # cut off at the limit
        if path.stat().st_size < (request.content_length or 0):
            raise InputError(
                f"the body ends after {path.stat().st_size} of the {request.content_length} bytes "
                "that were announced"
            )
    elif kind == "multipart/form-data":
        names = [name for name, _ in request.files.items(multi=True)]
        if names != [FIELD]:
            told = ", ".join(f"`{name}`" for name in names) or "no file"
            raise NotAVideoError(f"the form holds {told}; send one file, as `{FIELD}`")
        request.files[FIELD].save(path, _CHUNK)
        values = together(values, once(request.form))
    else:
        raise MediaTypeError(f"a body of {kind} is not taken here; {TAKEN}")
    if path.stat().st_size == 0:
        raise NotAVideoError(f"the request holds no video; {TAKEN}")
    if not _is_container(path):
        raise NotAVideoError(f"the file begins like no video; {TAKEN}")
    return video_options(values, settings.max_detections)


def _is_container(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(16)
    return any(head[at:].startswith(mark) for at, mark in _BEGINS)
