"""An HTTP request -> the video it holds, in a file, and what it asks of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from sightline.errors import MediaTypeError, NotAVideoError
from sightline.options import DetectOptions
from sightline.video import FrameOptions
from sightline_serving.gateway.asked_options import video_options
from sightline_serving.gateway.requests import RAW
from sightline_serving.gateway.settings import Settings

FIELD: Final = "video"  # of a form
TAKEN: Final = "send one video as it is (video/mp4 and the like) or a multipart form with `video`"
_CHUNK: Final = 2**20  # bytes copied at a time


def read_video(request: Request, path: Path, settings: Settings) -> tuple[DetectOptions, FrameOptions]:
    """Write the video of a request to a file, and read its options.

    Raises:
        InputError: there is no video, or too large a one, or an option is unknown or wrong.
    """
    request.max_content_length = settings.max_video
    kind = request.mimetype
    values: Mapping[str, Any] = request.args
    if kind in RAW or kind.startswith(("video/", "image/gif")):
        with path.open("wb") as file:
            shutil.copyfileobj(request.stream, file, _CHUNK)
        if path.stat().st_size == settings.max_video and request.content_length is None:
            raise RequestEntityTooLarge  # cut off at the limit
    elif kind == "multipart/form-data":
        if FIELD not in request.files:
            raise NotAVideoError(f"the form holds no file called `{FIELD}`")
        request.files[FIELD].save(path, _CHUNK)
        values = {**request.args.to_dict(), **request.form.to_dict()}
    else:
        raise MediaTypeError(f"a body of {kind} is not taken here; {TAKEN}")
    if path.stat().st_size == 0:
        raise NotAVideoError(f"the request holds no video; {TAKEN}")
    return video_options(values, settings.max_detections)
