"""An HTTP request -> the pictures it holds and what it asks of them."""

from __future__ import annotations

import base64
import binascii
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from sightline.errors import InvalidOptionError, MediaTypeError, NoImageError
from sightline.options import DetectOptions
from sightline_serving.gateway.asked_options import picture_options

PICTURE_FIELD: Final = "image"  # of a form, and of a JSON body
ADDRESS_FIELD: Final = "url"  # of a JSON body: where the picture is to be fetched from
PICTURES_FIELD: Final = "images"  # of a JSON body: several
UNNAMED: Final = "image"  # a picture sent without a file name
TAKEN: Final = (
    "send one picture as it is (image/jpeg, image/png, image/webp, image/bmp, image/gif), "
    "a multipart form with `image`, or JSON with base64 in `image` or `images`"
)
# curl's --data-binary announces a form where it sends a file, so that type is taken for raw bytes too.
RAW: Final = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})


@dataclass(frozen=True, slots=True)
class DetectRequest:
    """What one request asks."""

    images: list[bytes]  # encoded
    names: list[str]  # of the pictures' files, as sent
    options: DetectOptions
    format: str  # one of asked_options.FORMATS
    several: bool  # whether the answer is a list, even of one


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may hold at most."""

    images: int
    default_detections: int  # boxes per picture where the request names no number


def read_detect(request: Request, limits: Limits, fetch: Callable[[str], bytes]) -> DetectRequest:
    """Read the pictures and options of a request.

    Args:
        request: a picture as it is, a form, or JSON.
        limits: of what it may hold.
        fetch: gives the bytes at an address, where a JSON body names one.

    Raises:
        InputError: there is no picture, too many, or an option is unknown or wrong.
    """
    kind = request.mimetype
    if kind in RAW or kind.startswith("image/"):
        images, names, several = [read_body(request)], [UNNAMED], False
        values: Mapping[str, Any] = request.args
    elif kind == "multipart/form-data":
        images, names = _from_form(request)
        several, values = len(images) > 1, {**request.args.to_dict(), **request.form.to_dict()}
    elif kind == "application/json":
        images, several, fields = _from_json(read_body(request), fetch)
        names, values = [UNNAMED] * len(images), {**request.args.to_dict(), **fields}
    else:
        raise MediaTypeError(f"a body of {kind} is not taken here; {TAKEN}")
    if not images or (len(images) == 1 and not images[0]):
        raise NoImageError(f"the request holds no image; {TAKEN}")
    if len(images) > limits.images:
        raise InvalidOptionError(f"{len(images)} pictures in one request; the limit is {limits.images}")
    options, form = picture_options(values, limits.default_detections)
    return DetectRequest(images, names, options, form, several)


def read_body(request: Request) -> bytes:
    """The body as it is. Read in one piece, straight from the server, which spares a copy of each chunk.

    A body whose length is not told is read to one byte past the limit: werkzeug would cut it off there
    without a word.
    """
    limit = request.max_content_length or sys.maxsize
    length = request.content_length
    if length is None:
        length = limit + 1 if request.environ.get("wsgi.input_terminated") else 0
    elif length > limit:
        raise RequestEntityTooLarge
    body: bytes = request.environ["wsgi.input"].read(length)
    if len(body) > limit:
        raise RequestEntityTooLarge
    return body


def _from_form(request: Request) -> tuple[list[bytes], list[str]]:
    strange = sorted(set(request.files) - {PICTURE_FIELD})
    if strange:
        raise NoImageError(f"the form holds files as {', '.join(strange)}; call the field `{PICTURE_FIELD}`")
    files = request.files.getlist(PICTURE_FIELD)
    return [file.read() for file in files], [file.filename or UNNAMED for file in files]


def read_json(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        NoImageError: it is none.
    """
    try:
        plain = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise NoImageError(f"the body is announced as JSON and is none: {fault}; {TAKEN}") from None
    if not isinstance(plain, dict):
        raise NoImageError(f"the JSON body is no object; {TAKEN}")
    return plain


def _from_json(body: bytes, fetch: Callable[[str], bytes]) -> tuple[list[bytes], bool, dict[str, Any]]:
    plain = read_json(body)
    if (address := plain.pop(ADDRESS_FIELD, None)) is not None:
        return [fetch(address)], False, plain
    one, several = plain.pop(PICTURE_FIELD, None), plain.pop(PICTURES_FIELD, None)
    if (one is None) == (several is None):
        raise NoImageError("a JSON body holds base64 either in `image` or, as a list, in `images`")
    if several is None:
        return [from_base64(one, PICTURE_FIELD)], False, plain
    if not isinstance(several, list):
        raise NoImageError("`images` is no list of base64 text")
    return [from_base64(item, f"images[{i}]") for i, item in enumerate(several)], True, plain


def from_base64(value: Any, where: str) -> bytes:
    """Base64 text; `{"b64": text}`, as in TensorFlow Serving's REST; or a data URL, as in browsers.

    Raises:
        NoImageError: it is none; the text names `where` it stood.
    """
    text = value.get("b64") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise NoImageError(f"`{where}` is no base64 text")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise NoImageError(f"`{where}` is no base64: {fault}") from None
