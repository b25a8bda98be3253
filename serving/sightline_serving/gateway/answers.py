"""Results -> the body of an answer: JSON in four formats, or the picture with its boxes drawn on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import cv2
import orjson

from sightline.detections import Result
from sightline.draw import draw
from sightline.errors import InputError, InvalidOptionError, SightlineError
from sightline.images import decode
from sightline_serving.gateway import problems
from sightline_serving.gateway.application import Request
from sightline_serving.gateway.requests import DetectRequest

JSON_TYPE: Final = "application/json"
XML_TYPE: Final = "application/xml"
JPEG_QUALITY: Final = 90  # of 100
# media type -> OpenCV's name and parameters; the first is what `image/*` gets
_ENCODERS: Final[Mapping[str, tuple[str, Sequence[int]]]] = {
    "image/jpeg": (".jpg", (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)),
    "image/png": (".png", ()),
    "image/webp": (".webp", (cv2.IMWRITE_WEBP_QUALITY, JPEG_QUALITY)),
}
Body: TypeAlias = tuple[bytes, str]  # and its media type
_PLAIN: Final[Mapping[str, Callable[[Result, str], Any]]] = {
    "json": lambda result, name: result,
    "coco": lambda result, name: result.to_coco(name),
    "voc": lambda result, name: result.to_voc(name),
    "tfod": lambda result, name: result.to_tfod(),
}


def wanted_picture(request: Request) -> str | None:
    """The media type of the picture that the caller prefers to JSON, if it does."""
    if "image/" not in request.environ.get("HTTP_ACCEPT", ""):  # nearly always, and told cheaply
        return None
    best = request.accept_mimetypes.best_match([JSON_TYPE, *_ENCODERS], JSON_TYPE)
    return None if best == JSON_TYPE else best


def picture(
    asked: DetectRequest, outcomes: Sequence[Result | InputError], kind: str, max_pixels: int
) -> Body:
    """The picture with its boxes drawn on.

    Raises:
        InputError: it could not be read, there are several, or the format holds none of its size.
    """
    if len(outcomes) != 1:
        raise InvalidOptionError(
            "one picture can be drawn on at a time; send one, or accept application/json"
        )
    outcome = outcomes[0]
    if isinstance(outcome, SightlineError):
        raise outcome
    canvas = draw(decode(asked.images[0], max_pixels=max_pixels).pixels, outcome.detections)
    suffix, parameters = _ENCODERS[kind]
    drawn, data = cv2.imencode(suffix, cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), parameters)
    if not drawn:
        height, width = canvas.shape[:2]
        raise InvalidOptionError(
            f"a picture of {width} x {height} pixels is too long for {kind}; accept image/png"
        )
    return data.tobytes(), kind


def results(asked: DetectRequest, outcomes: Sequence[Result | InputError], request_id: str) -> Body:
    """The results in the format asked for; a list if several pictures were sent.

    Raises:
        InputError: the only picture could not be read.
    """
    plain = _PLAIN[asked.format]
    if asked.several:
        items = [
            problems.document(outcome, request_id)
            if isinstance(outcome, SightlineError)
            else plain(outcome, name)
            for outcome, name in zip(outcomes, asked.names, strict=True)
        ]
        return orjson.dumps({"results": items}), JSON_TYPE
    outcome = outcomes[0]
    if isinstance(outcome, SightlineError):
        raise outcome
    body = plain(outcome, asked.names[0])
    if isinstance(body, str):
        return body.encode(), XML_TYPE
    return orjson.dumps(body), JSON_TYPE
