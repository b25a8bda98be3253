"""Any error -> an RFC 9457 problem document. The gateway's one translator."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import Any, Final

import orjson
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from sightline.errors import BodyTooLargeError, InputError, MethodError, NotFoundError, SightlineError

PROBLEM_TYPE: Final = "application/problem+json"
log = logging.getLogger(__name__)


def document(error: SightlineError, request_id: str) -> dict[str, Any]:
    """An error as a problem document that names the request."""
    return {**error.problem(), "request_id": request_id}


def unexpected() -> SightlineError:
    """What a caller is told of a fault of ours."""
    return SightlineError("the gateway failed unexpectedly; its log knows this request's id")


def respond(error: SightlineError) -> Response:
    """An error as a response."""
    g.error_code = error.code
    response = Response(
        orjson.dumps(document(error, g.get("request_id", ""))), error.http_status, content_type=PROBLEM_TYPE
    )
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(math.ceil(error.retry_after))
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def install(app: Flask) -> None:
    """Answer every error of every route with a problem document."""
    app.register_error_handler(SightlineError, respond)
    app.register_error_handler(HTTPException, _of_werkzeug)
    app.register_error_handler(Exception, _unexpected)


def _of_werkzeug(error: HTTPException) -> Response:
    """What Flask itself raises: an unknown address, a wrong method, a body that is too long or broken."""
    if isinstance(error, NotFound):
        return respond(NotFoundError("there is nothing at this address; /docs lists what there is"))
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        response = respond(MethodError(f"this address takes {allowed}"))
        response.headers["Allow"] = allowed
        return response
    if isinstance(error, RequestEntityTooLarge):
        limit = request.max_content_length or 0
        if (request.content_length or 0) <= limit and request.mimetype == "multipart/form-data":
            return respond(BodyTooLargeError(f"the form has more than {request.max_form_parts} parts"))
        return respond(BodyTooLargeError(f"the body is larger than the limit of {limit} bytes"))
    return respond(InputError(error.description or error.name))


def _unexpected(error: Exception) -> Response:
    """A fault of ours: the caller learns the request's id, the log learns the rest."""
    log.exception("unexpected %s", type(error).__name__)
    return respond(unexpected())
