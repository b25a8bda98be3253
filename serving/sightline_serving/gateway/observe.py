"""What surrounds every request: its id, its time, its line in the log, its place in the metrics."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from flask import Flask, Response, request
from flask.globals import app_ctx, request_ctx

from sightline.detections import Result
from sightline_serving.gateway.ledger import Ledger
from sightline_serving.gateway.metrics import Found, Metrics

REQUEST_ID_HEADER: Final = "X-Request-ID"
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")  # printable ASCII without blanks: safe in header and log
_QUIET: Final = frozenset({"health.healthz", "health.readyz", "health.metrics"})  # asked every few seconds
log = logging.getLogger("sightline.request")


class Answered(NamedTuple):
    """What is known of a request once it is answered."""

    at: float  # seconds since 1970
    seconds: float  # from its arrival in this worker
    request_id: str
    method: str
    path: str
    route: str
    status: int
    model: str  # and version: empty where none has answered
    version: str
    caller: str | None  # the name of its API key
    code: str | None  # of its problem document
    stages: Mapping[str, float]  # seconds
    found: Sequence[Found]


def install(app: Flask, ledger: Ledger[Answered]) -> None:
    """Observe every request of the application."""

    @app.before_request
    def begin() -> None:
        noted = app_ctx.g  # itself: each look through Flask's proxy costs
        noted.began = time.perf_counter()
        given = request.environ.get("HTTP_X_REQUEST_ID", "")
        noted.request_id = given if _REQUEST_ID.fullmatch(given) else _made_up()

    @app.after_request
    def end(response: Response) -> Response:
        known, asked = vars(app_ctx.g), request_ctx.request
        response.headers[REQUEST_ID_HEADER] = known["request_id"]
        ledger.add(
            Answered(
                at=time.time(),
                seconds=time.perf_counter() - known["began"],
                request_id=known["request_id"],
                method=asked.method,
                path=asked.path,
                route=asked.endpoint or "none",
                status=response.status_code,
                # told by the route once a model has answered, never what the caller made up
                model=known.get("model", ""),
                version=known.get("version", ""),
                caller=known.get("caller"),
                code=known.get("error_code"),
                stages=known.get("stages", {}),
                found=known.get("found", ()),
            )
        )
        return response


def _made_up() -> str:
    """An id; no secret, so that the system need not be asked for chance at each request."""
    return f"{random.getrandbits(128):032x}"


def found(results: Sequence[Result]) -> None:
    """Note what a model found for the present request."""
    if results:
        noted, last = app_ctx.g, results[-1].model
        noted.model, noted.version = last.name, str(last.version)
        noted.found = [(result.model.name, result.detections) for result in results]


def seconds(results: Sequence[Result]) -> dict[str, float]:
    """The time in each of the detector's stages, added up over the pictures of a request.

    Pictures that are sent together share one prediction, so it counts once.
    """
    stages: dict[str, float] = {}
    for result in results:
        for name, milliseconds in result.timing_ms.items():
            before = 0.0 if name == "predict" else stages.get(name, 0.0)
            stages[name] = before + milliseconds / 1000
    stages.pop("total", None)
    return stages


def book(metrics: Metrics, entry: Answered) -> None:
    """Count a request, and write its line."""
    metrics.requests.labels(entry.route, str(entry.status), entry.model, entry.version).inc()
    metrics.request_seconds.labels(entry.route).observe(entry.seconds)
    if entry.code is not None:
        metrics.errors.labels(entry.code).inc()
    for name, seconds in entry.stages.items():
        metrics.stage(name, seconds)
    for model, detections in entry.found:
        metrics.found(model, detections)
    level = logging.DEBUG if entry.route in _QUIET and entry.code is None else logging.INFO
    if log.isEnabledFor(level):
        log.handle(_record(entry, level))


def _record(entry: Answered, level: int) -> logging.LogRecord:
    """The line in the log, of the moment of the answer."""
    told = {
        "request_id": entry.request_id,
        "method": entry.method,
        "path": entry.path,
        "status": entry.status,
        "ms": round(entry.seconds * 1000, 2),
        "code": entry.code,
        "model": entry.model,
        "version": entry.version,
        "caller": entry.caller,
    }
    words = (entry.method, entry.path, entry.status)
    record = log.makeRecord(log.name, level, __file__, 0, "%s %s %d", words, None, extra=told)
    record.created = entry.at
    return record
