"""An HTTP request -> the video it holds, in a file, and what it asks of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, cast

from flask import Request

from sightline.errors import InputError, MediaTypeError, NotAVideoError
from sightline.options import DetectOptions
from sightline.video import FrameOptions
from sightline_serving.gateway.asked_options import video_options
from sightline_serving.gateway.forms import FormReader
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


def read_video(
    request: Request, path: Path, settings: Settings, grow: Callable[[int], None]
) -> tuple[DetectOptions, FrameOptions]:
    """Write the video of a request to a file, and read its options.

    Args:
        request: a video as it is, or a form.
        path: of the file.
        settings: the gateway's, for the limits.
        grow: is told of the bytes as they come, and may refuse more.

    Raises:
        InputError: there is no video, or too large a one, or an option is unknown or wrong.
    """
    request.max_content_length = settings.max_video
    kind = request.mimetype
    refuse_coding(request)
    values: Mapping[str, Any] = once(request.args)
    if kind in RAW or kind.startswith(("video/", "image/gif")):
        body = _Body(request, grow)
        with path.open("wb") as file:
            shutil.copyfileobj(body, file, _CHUNK)
        body.check_whole()
    elif kind == "multipart/form-data":
        values = together(values, _read_form(request, path, grow))
    else:
        raise MediaTypeError(f"a body of {kind} is not taken here; {TAKEN}")
    if path.stat().st_size == 0:
        raise NotAVideoError(f"the request holds no video; {TAKEN}")
    if not _is_container(path):
        raise NotAVideoError(f"the file begins like no video; {TAKEN}")
    return video_options(values, settings.max_detections)


class _Body:
    """A request's body, counted as it is read."""

    def __init__(self, request: Request, grow: Callable[[int], None]) -> None:
        self._stream, self._grow = request.stream, grow
        self._announced = request.content_length or 0
        self.size = 0  # bytes read so far

    def read(self, count: int = -1) -> bytes:
        data: bytes = self._stream.read(count)
        self._grow(len(data))
        self.size += len(data)
        return data

    def check_whole(self) -> None:
        """Refuse a body that ended early. Of one in chunks the server does not tell."""
        while self.read(_CHUNK):  # what was not understood is left unread
            pass
        if self.size < self._announced:
            raise InputError(
                f"the body ends after {self.size} of the {self._announced} bytes that were announced"
            )


def _read_form(request: Request, path: Path, grow: Callable[[int], None]) -> dict[str, str]:
    """Write a form's video where it is wanted, as it comes; the options beside it.

    werkzeug's own way writes a large one to a file of its own first.
    """

    def place(*_: Any, **__: Any) -> IO[bytes]:
        return tempfile.TemporaryFile() if path.exists() else path.open("w+b")

    body = _Body(request, grow)
    parser = FormReader(place, max_form_parts=request.max_form_parts)
    _, fields, files = parser.parse(
        cast(IO[bytes], body), request.mimetype, request.content_length, request.mimetype_params
    )
    with ExitStack() as opened:
        names = []
        for name, file in files.items(multi=True):
            names.append(name)
            opened.callback(file.close)
        body.check_whole()
        if names != [FIELD]:
            told = ", ".join(f"`{name}`" for name in names) or "no file"
            raise NotAVideoError(f"the form holds {told}; send one file, as `{FIELD}`")
        if not path.exists():  # a small one was read at once
            files[FIELD].save(path, _CHUNK)
    return once(fields)


def _is_container(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(16)
    return any(head[at:].startswith(mark) for at, mark in _BEGINS)
