"""An HTTP request -> the pictures it holds and what it asks of them."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, NamedTuple

import orjson
from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from sightline.errors import InputError, InvalidOptionError, MediaTypeError, NoImageError
from sightline.options import DetectOptions
from sightline_serving.gateway.asked_options import picture_options
from sightline_serving.gateway.forms import LARGEST
from sightline_serving.gateway.header_values import FORM_TYPE

PICTURE_FIELD: Final = "image"  # of a form, and of a JSON body
ADDRESS_FIELD: Final = "url"  # of a JSON body: where the picture is to be fetched from
PICTURES_FIELD: Final = "images"  # of a JSON body: several
SOURCES: Final = (PICTURE_FIELD, PICTURES_FIELD, ADDRESS_FIELD)  # where a JSON body may have its pictures
LONGEST_NAME: Final = 255  # characters of a file's name that are kept
_URL_ALPHABET: Final = str.maketrans("-_", "+/")  # RFC 4648, section 5
UNNAMED: Final = "image"  # a picture sent without a file name
TAKEN: Final = (
    "send one picture as it is (image/jpeg, image/png, image/webp, image/bmp, image/gif), "
    "a multipart form with `image`, or JSON with base64 in `image` or `images`"
)
# curl's --data-binary announces a form where it sends a file, so that type is taken for raw bytes too.
RAW: Final = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})


class DetectRequest(NamedTuple):
    """What one request asks."""

    images: list[bytes]  # encoded
    names: list[str]  # of the pictures' files, as sent
    options: DetectOptions
    format: str  # one of asked_options.FORMATS
    several: bool  # whether the answer is a list, even of one
    broken: Mapping[int, InputError]  # place -> why there is no picture there; empty bytes stand for it


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
    refuse_coding(request)
    kind = request.mimetype
    broken: Mapping[int, InputError] = {}
    if kind in RAW or kind.startswith("image/"):
        images, names, several = [read_body(request)], [UNNAMED], False
        values: Mapping[str, Any] = _query(request)
    elif kind == FORM_TYPE:
        images, names = _from_form(request)
        several, values = len(images) > 1, together(_query(request), once(request.form))
    elif kind == "application/json":
        images, broken, fields = _from_json(read_body(request), fetch, limits.images)
        several, values = PICTURES_FIELD in fields, together(_query(request), fields)
        names = [UNNAMED] * len(images)
        # Null is how some callers write what they leave out.
        values = {name: value for name, value in values.items() if name not in SOURCES and value is not None}
    else:
        raise MediaTypeError(f"a body of {kind} is not taken here; {TAKEN}")
    if images and len(broken) == len(images):
        raise broken[0]  # nothing is left to be asked
    if not images or (len(images) == 1 and not images[0]):
        raise NoImageError(f"the request holds no image; {TAKEN}")
    _check_count(len(images), limits.images)
    options, form = picture_options(values, limits.default_detections)
    return DetectRequest(images, names, options, form, several, broken)


def _check_count(count: int, limit: int) -> None:
    if count > limit:
        raise InvalidOptionError(f"{count} pictures in one request; the limit is {limit}")


def refuse_coding(request: Request) -> None:
    """A compressed body is not unpacked: a small one could hold a huge one.

    Raises:
        MediaTypeError: the body is declared to be compressed.
    """
    coding = request.environ.get("HTTP_CONTENT_ENCODING", "")
    if coding and coding.strip().lower() != "identity":
        raise MediaTypeError(f"a body with Content-Encoding {coding[:40]} is not taken; send it as it is")


def _query(request: Request) -> dict[str, str]:
    return once(request.args) if request.query_string else {}


def once(values: MultiDict[str, str]) -> dict[str, str]:
    """Options as they were sent.

    Raises:
        InvalidOptionError: one was sent twice, and which of the two is meant cannot be known.
    """
    for name, sent in values.lists():
        if len(sent) > 1:
            raise InvalidOptionError(
                f"{name[:60]} is given {len(sent)} times; several labels go into one `classes`"
            )
    return values.to_dict()


def together(query: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a query and of a body.

    Raises:
        InvalidOptionError: both give the same one.
    """
    if both := query.keys() & fields.keys():
        raise InvalidOptionError(f"{min(both)[:60]} is given in the query and in the body")
    return {**query, **fields}


def read_body(request: Request) -> bytes:
    """The body as it is. Read in one piece, straight from the server, which spares a copy of each chunk.

    A body whose length is not told is read to one byte past the limit: werkzeug would cut it off there
    without a word.
    """
    limit = request.max_content_length or sys.maxsize
    announced = length = request.content_length
    if length is None:
        length = limit + 1 if request.environ.get("wsgi.input_terminated") else 0
    elif length > limit:
        raise RequestEntityTooLarge
    body: bytes = request.environ["wsgi.input"].read(length)
    if len(body) > limit:
        raise RequestEntityTooLarge
    if announced is not None and len(body) < announced:
        raise InputError(f"the body ends after {len(body)} of the {announced} bytes that were announced")
    return body


def _from_form(request: Request) -> tuple[list[bytes], list[str]]:
    if (request.content_length or sys.maxsize) <= LARGEST:
        request.stream = BytesIO(read_body(request))  # by werkzeug's stream it would be copied twice more
    strange = sorted(set(request.files) - {PICTURE_FIELD})
    if strange:
        raise NoImageError(
            f"the form holds files as {', '.join(strange)[:200]}; call the field `{PICTURE_FIELD}`"
        )
    if PICTURE_FIELD in request.form:
        raise NoImageError(f"`{PICTURE_FIELD}` came as text, without a file name; send it as a file")
    files = request.files.getlist(PICTURE_FIELD)
    return [file.read() for file in files], [_plain_name(file.filename) for file in files]


def _plain_name(name: str | None) -> str:
    """A file's name as it may stand in any answer: XML holds no control characters."""
    told = (name or UNNAMED)[:LONGEST_NAME]
    if told.isprintable():
        return told
    return "".join(letter if letter.isprintable() else "_" for letter in told)


def read_json(body: bytes, taken: str = TAKEN) -> dict[str, Any]:
    """A JSON object.

    Args:
        body: as sent.
        taken: what would be right, for those who sent something else.

    Raises:
        NoImageError: it is none.
    """
    try:
        plain = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise NoImageError(f"the body is to be JSON and is none: {fault}; {taken}") from None
    if not isinstance(plain, dict):
        raise NoImageError(f"the JSON body is no object; {taken}")
    return plain


def _from_json(
    body: bytes, fetch: Callable[[str], bytes], limit: int
) -> tuple[list[bytes], dict[int, InputError], dict[str, Any]]:
    """The pictures, what is wrong with some of them, and all fields."""
    plain = read_json(body)
    given = [name for name in SOURCES if plain.get(name) is not None]
    if len(given) != 1:
        raise NoImageError(
            "a JSON body holds base64 either in `image` or, as a list, in `images`, or a `url`"
        )
    value = plain[given[0]]
    if given[0] == ADDRESS_FIELD:
        return [fetch(value)], {}, plain
    if given[0] == PICTURE_FIELD:
        return [from_base64(value, PICTURE_FIELD)], {}, plain
    if not isinstance(value, list):
        raise NoImageError("`images` is no list of base64 text")
    _check_count(len(value), limit)
    images, broken = [b""] * len(value), {}
    for place, item in enumerate(value):
        try:
            images[place] = from_base64(item, f"images[{place}]")
        except InputError as fault:  # its neighbours are answered all the same
            broken[place] = fault
    return images, broken, plain


def from_base64(value: Any, where: str) -> bytes:
    """Base64 text; `{"b64": text}`, as in TensorFlow Serving's REST; or a data URL, as in browsers.

    Broken into lines, with the alphabet for URLs, or without its padding, it is taken too.

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
    except ValueError:  # nearly never
        pass
    text = "".join(text.split()).translate(_URL_ALPHABET).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as fault:
        raise NoImageError(f"`{where}` is no base64: {fault}") from None
