"""The one translator from the gateway's answers to our errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx
import orjson

from sightline.errors import (
    BodyTooLargeError,
    DeadlineError,
    NotFoundError,
    RateLimitError,
    ServingError,
    SightlineError,
    UnauthorizedError,
    UnavailableError,
    every_error,
)

_BY_CODE: Final = {cls.code: cls for cls in every_error()}
# For answers that are no problem documents, such as those of a proxy in between.
_BY_STATUS: Final[Mapping[int, type[SightlineError]]] = {
    400: NotFoundError,  # ours explains itself; other servers answer so to an address that they do not have
    401: UnauthorizedError,
    403: UnauthorizedError,
    404: NotFoundError,
    405: NotFoundError,
    413: BodyTooLargeError,
    429: RateLimitError,
    501: NotFoundError,
    502: UnavailableError,
    503: UnavailableError,
    504: DeadlineError,
}


def error_of(response: httpx.Response) -> SightlineError:
    """The error that an answer stands for: by the problem document's `code`, else by the status."""
    try:
        problem = orjson.loads(response.content)
    except ValueError:
        problem = None
    if isinstance(problem, dict) and problem.get("code") in _BY_CODE:
        return error_of_problem(problem, retry_after(response))
    cls = _BY_STATUS.get(response.status_code, ServingError if response.is_server_error else SightlineError)
    hint = "; is there a Sightline gateway at that address?" if cls is NotFoundError else ""
    if isinstance(problem, dict) and problem.keys() == {"error"}:  # all that its REST API says
        hint = (
            f": {problem['error']}. That reads like TensorFlow Serving's REST API; give the address of a "
            "Sightline gateway, or ask Serving at its gRPC port"
        )
    return cls(
        f"{response.url} answered {response.status_code} {response.reason_phrase}, "
        f"which is no answer of Sightline's{hint}"
    )


def error_of_problem(problem: Mapping[str, Any], wait: float | None = None) -> SightlineError:
    """The error that made a problem document; `wait` is what it says in seconds, if it does."""
    cls = _BY_CODE.get(problem.get("code", ""), SightlineError)
    return cls(str(problem.get("detail") or cls.title), retry_after=wait)


def retry_after(response: httpx.Response) -> float | None:
    """Seconds, where the answer names them; the other form of the header, a date, is not used by ours."""
    try:
        return max(float(response.headers["Retry-After"]), 0.0)
    except (KeyError, ValueError):
        return None
