"""What is said to the gateway and what its answers mean, apart from who carries it.

Each conversation is a generator: it yields a request to send or a number of seconds to wait, and is
given the response. `sightline.http` drives the same generators with a blocking and with an async
client, so that the two cannot drift apart.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal, TypeAlias, TypeVar

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from sightline.contract import LONGEST_TIMEOUT, ModelCard, ModelRef
from sightline.counted import counted
from sightline.detections import Result
from sightline.errors import (
    BodyTooLargeError,
    DeadlineError,
    InputError,
    InvalidOptionError,
    NoImageError,
    NotAnImageError,
    ServingError,
    SightlineError,
    TooManyPixelsError,
    TruncatedImageError,
    UnavailableError,
)
from sightline.gateway_address import GatewayAddress
from sightline.http_errors import error_of, error_of_problem, retry_after
from sightline.images import encode_jpeg, encode_png
from sightline.inputs import ImageInput, load, several
from sightline.options import DetectOptions
from sightline.served_models import ServedModel, VersionStatus
from sightline.shown import Shown

MAX_ATTEMPTS: Final = 4  # of one request
FIRST_BACKOFF: Final = 0.1  # seconds; doubles with each attempt
MAX_BACKOFF: Final = 2.0  # seconds
BATCH_IMAGES: Final = 8  # pictures in one request
BATCH_BYTES: Final = 8 * 2**20  # of pictures in one request; a larger picture goes alone

# What the gateway says of a picture, rather than of the request: in the picture's place in a list.
_OF_A_PICTURE: Final = (
    NoImageError,
    NotAnImageError,
    TruncatedImageError,
    TooManyPixelsError,
    BodyTooLargeError,
)

ArrayFormat: TypeAlias = Literal["png", "jpeg"]
_ENCODERS: Final[Mapping[ArrayFormat, Callable[[NDArray[np.uint8]], bytes]]] = {
    "png": encode_png,
    "jpeg": partial(encode_jpeg, quality=95),
}

T = TypeVar("T")
# Yields what is to be done, is sent the response (None after a wait), returns the outcome.
Exchange: TypeAlias = Generator[httpx.Request | float, httpx.Response | None, T]


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of detection, ready to be sent."""

    pictures: Sequence[bytes | InputError]  # encoded; an error where there was nothing to encode
    options: DetectOptions | None
    model: ModelRef | None
    timeout: float | None
    request_id: str | None

    def batches(self) -> Iterator[list[int]]:
        """The places of the pictures that share a request."""
        batch: list[int] = []
        weight = 0
        for place, picture in enumerate(self.pictures):
            if isinstance(picture, InputError):
                continue
            if batch and (len(batch) == BATCH_IMAGES or weight + len(picture) > BATCH_BYTES):
                yield batch
                batch, weight = [], 0
            batch.append(place)
            weight += len(picture)
        if batch:
            yield batch


def encoded(images: Sequence[ImageInput], arrays_as: ArrayFormat) -> list[bytes | InputError]:
    """Each picture as it will be sent: files as they are, pixels encoded.

    Raises:
        InputError: the list is none, but a picture.
    """
    encode = _ENCODERS[arrays_as]
    pictures: list[bytes | InputError] = []
    for image in several(images):
        try:
            loaded = load(image)
            sent = loaded if isinstance(loaded, bytes) else encode(loaded)
        except InputError as fault:
            pictures.append(fault)
            continue
        pictures.append(sent or NoImageError("the image is empty (0 bytes)"))
    return pictures


def detect(at: GatewayAddress, asked: Asked) -> Exchange[list[Result | InputError]]:
    """Ask about the pictures, in as few requests as the limits on a request allow."""
    deadline = _deadline(at, asked.timeout)
    outcomes: dict[int, Result | InputError] = {
        place: picture for place, picture in enumerate(asked.pictures) if isinstance(picture, InputError)
    }
    name = asked.request_id or uuid.uuid4().hex
    if not (name.isascii() and name.isprintable()):
        raise InvalidOptionError(f"request_id is {name!r}; a header carries printable ASCII alone")
    for places in asked.batches():
        batch = [picture for picture in map(asked.pictures.__getitem__, places) if isinstance(picture, bytes)]
        request: dict[str, Any] = {"params": _query(asked.options), "headers": {"X-Request-Id": name}}
        if len(batch) == 1:
            request["content"] = batch[0]
            request["headers"]["Content-Type"] = _media_type(batch[0])
        else:
            request["files"] = [("image", (str(place), batch[i])) for i, place in enumerate(places)]
        try:
            response = yield from _send(at, "POST", at.path(asked.model, ":detect"), deadline, request)
        except _OF_A_PICTURE as fault:
            if len(places) > 1:
                raise
            outcomes[places[0]] = fault  # a picture that is sent alone has no other place for it
            continue
        for place, picture, outcome in zip(places, batch, _outcomes(response, len(places)), strict=True):
            if isinstance(outcome, Result):
                outcomes[place] = replace(outcome, _shown=Shown(picture))
            else:
                outcomes[place] = outcome
    return [outcomes[place] for place in range(len(asked.pictures))]


def models(at: GatewayAddress) -> Exchange[list[ServedModel]]:
    """Ask which models there are; or about one version or label, where the address names it."""
    answer = yield from _get(at, "/v1/models")
    try:
        listed = [_served_model(item) for item in answer["models"]]
        ref = at.model
        if ref is None or str(ref) == ref.name:
            return listed
        default = any(model.default for model in listed if model.name == ref.name)
        if ref.label is not None:  # of which the states say nothing
            known = yield from _get(at, at.path(ref, "/card"))
            ref = ModelRef(ref.name, int(known["model"]["version"]))
        answer = yield from _get(at, at.path(ref))
        return [_served_model({**answer, "default": default})]
    except (KeyError, TypeError, ValueError) as fault:
        raise ServingError(f"the gateway's list of models cannot be read: {fault!r}") from None


def card(at: GatewayAddress, model: ModelRef | None) -> Exchange[ModelCard | None]:
    """Ask what a model says of itself; without a name, the one that the gateway has for a default."""
    ref = model or at.model
    if ref is None:
        known = yield from models(at)
        ref = ModelRef(next((item.name for item in known if item.default), ""))
    answer = yield from _get(at, at.path(ref, "/card"))
    try:
        return ModelCard.from_dict(answer)
    except ValueError as fault:
        raise ServingError(f"the gateway's answer cannot be read: {fault}") from None


def _served_model(item: Mapping[str, Any]) -> ServedModel:
    versions = (
        VersionStatus(int(status["version"]), status["state"], status["status"]["error_message"])
        for status in item["model_version_status"]
    )
    return ServedModel(item["name"], bool(item["default"]), tuple(versions))


def _get(at: GatewayAddress, path: str) -> Exchange[Any]:
    response = yield from _send(at, "GET", path, _deadline(at, None), {})
    return _json(response)


def _send(
    at: GatewayAddress, method: str, path: str, deadline: float, request: Mapping[str, Any]
) -> Exchange[httpx.Response]:
    """Send until it is answered, the attempts are used up, or the next one would come too late.

    Detection changes nothing on the server, so a request that may have arrived can be sent again.
    What ran out of time is not sent again: the server may still be busy with it.
    """
    for attempt in range(1, MAX_ATTEMPTS + 1):
        wait = min(FIRST_BACKOFF * 2 ** (attempt - 1), MAX_BACKOFF) * random.uniform(0.5, 1)  # noqa: S311
        fault: SightlineError
        try:
            response = yield _request(at, method, path, deadline, request)
        except httpx.TimeoutException:
            raise DeadlineError(f"the gateway at {at.url} did not answer in time") from None
        except httpx.TransportError as lost:
            if isinstance(lost, httpx.RemoteProtocolError) and str(lost).startswith("illegal"):
                raise ServingError(f"what listens at {at.url} does not speak HTTP: {lost}") from None
            fault = UnavailableError(f"the gateway at {at.url} cannot be reached: {lost}")
        else:
            if response is None:
                raise TypeError("a request is answered by a response")
            if response.is_success:
                return response
            fault = error_of(response)
            wait = max(wait, retry_after(response) or 0)
        if not fault.retryable or attempt == MAX_ATTEMPTS or time.monotonic() + wait > deadline:
            raise fault
        yield wait
    raise AssertionError("the last attempt returns or raises")


def _request(
    at: GatewayAddress, method: str, path: str, deadline: float, request: Mapping[str, Any]
) -> httpx.Request:
    left = max(deadline - time.monotonic(), 0.001)  # seconds; httpx takes zero for a fault
    left = min(left, LONGEST_TIMEOUT)
    headers = {"Accept": "application/json", **at.headers, **request.get("headers", {})}
    return httpx.Request(
        method,
        at.url.rstrip("/") + path,
        **{**request, "headers": headers},
        extensions={"timeout": httpx.Timeout(left).as_dict()},
    )


def _outcomes(response: httpx.Response, count: int) -> list[Result | InputError]:
    answer = _json(response)
    items = answer.get("results", [answer]) if isinstance(answer, dict) else []
    if len(items) != count:
        raise ServingError(f"{counted(count, 'picture')} sent, and the gateway answered about {len(items)}")
    return [_outcome(item) for item in items]


def _outcome(item: Mapping[str, Any]) -> Result | InputError:
    if "code" in item:
        fault = error_of_problem(item)
        if isinstance(fault, InputError):
            return fault
        raise fault
    try:
        return Result.from_dict(item)
    except ValueError as fault:
        raise ServingError(f"the gateway's answer cannot be read: {fault}") from None


def _json(response: httpx.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except ValueError:
        kind = response.headers.get("Content-Type", "no type")
        raise ServingError(f"{response.url} answered {kind} where JSON was wanted") from None


def _query(options: DetectOptions | None) -> dict[str, str | int | float]:
    if options is None:
        return {}
    query: dict[str, str | int | float] = {"max_detections": options.max_detections}
    if options.threshold is not None:
        query["threshold"] = options.threshold
    if options.classes is not None:
        if unsayable := [label for label in options.classes if "," in label]:
            raise InvalidOptionError(
                f"the label {unsayable[0]!r} holds a comma, which separates labels in HTTP"
            )
        query["classes"] = ",".join(sorted(options.classes))
    return query


def _media_type(picture: bytes) -> str:
    """The type by the first bytes; what is no picture is sent too, so that one judge decides for all."""
    starts = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png", b"RIFF": "webp", b"GIF8": "gif", b"BM": "bmp"}
    kind = next((name for start, name in starts.items() if picture.startswith(start)), None)
    return f"image/{kind}" if kind else "application/octet-stream"


def _deadline(at: GatewayAddress, timeout: float | None) -> float:
    return time.monotonic() + (at.timeout if timeout is None else timeout)
