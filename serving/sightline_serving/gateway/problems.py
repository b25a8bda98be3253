"""Any error -> an RFC 9457 problem document. The gateway's one translator."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import Any, Final

import orjson
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from sightline.errors import BodyTooLargeError, InputError, MethodError, NotFoundError, SightlineError
from sightline_serving.gateway.application import Answer, Request

PROBLEM_TYPE: Final = "application/problem+json"
log = logging.getLogger(__name__)


def document(error: SightlineError, request_id: str) -> dict[str, Any]:
    """An error as a problem document that names the request."""
    return {**error.problem(), "request_id": request_id}


def unexpected() -> SightlineError:
    """What a caller is told of a fault of ours."""
    return SightlineError("the gateway failed unexpectedly; its log knows this request's id")


def answer(fault: Exception, request: Request) -> Answer:
    """Any error of any route, to be called while it is handled.

    Of a fault of ours the caller learns the request's id, and the log learns the rest.
    """
    if isinstance(fault, SightlineError):
        return respond(fault, request)
    if isinstance(fault, MethodNotAllowed):
        allowed = ", ".join(sorted(fault.valid_methods or ()))
        return respond(MethodError(f"this address takes {allowed}"), request, ("Allow", allowed))
    if isinstance(fault, HTTPException):
        return respond(_of_werkzeug(fault, request), request)
    log.exception("unexpected %s", type(fault).__name__)
    return respond(unexpected(), request)


def respond(error: SightlineError, request: Request, *headers: tuple[str, str]) -> Answer:
    """An error of ours as an answer."""
    request.noted.code = error.code
    if error.retry_after is not None:
        headers += (("Retry-After", str(math.ceil(error.retry_after))),)
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        headers += (("WWW-Authenticate", "Bearer"),)
    body = orjson.dumps(document(error, request.noted.request_id))
    return Answer(body, PROBLEM_TYPE, error.http_status, headers)


def _of_werkzeug(error: HTTPException, request: Request) -> SightlineError:
    """What Flask and werkzeug raise: an unknown address, a body that is too long or broken."""
    if isinstance(error, NotFound):
        return NotFoundError("there is nothing at this address; /docs lists what there is")
    if isinstance(error, RequestEntityTooLarge):
        limit = request.max_content_length or 0
        if (request.content_length or 0) <= limit and request.mimetype == "multipart/form-data":
            return BodyTooLargeError(f"the form has more than {request.max_form_parts} parts")
        return BodyTooLargeError(f"the body is larger than the limit of {limit} bytes")
    return InputError(error.description or error.name)
