"""What surrounds every request: its id, its time, its line in the log, its place in the metrics."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flask import Flask
from werkzeug.wsgi import get_path_info

from sightline.detections import Result
from sightline_serving.gateway.ledger import Ledger
from sightline_serving.gateway.metrics import Found, Metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

NOTED: Final = "sightline.noted"  # where a request's environment has its `Noted`
REQUEST_ID_HEADER: Final = "X-Request-ID"
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")  # printable ASCII without blanks: safe in header and log
_QUIET: Final = frozenset({"health.healthz", "health.readyz", "health.metrics"})  # asked every few seconds
log = logging.getLogger("sightline.request")


@dataclass(slots=True)
class Noted:
    """What is known of a request, filled in on its way."""

    request_id: str
    method: str
    path: str  # as WSGI has it
    began: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0  # from its arrival in this worker to its answer, or to the end of one that goes on
    at: float = 0.0  # seconds since 1970, of that moment
    route: str = "none"
    status: int = 0
    # told by the route once a model has answered, never what the caller made up
    model: str = ""
    version: str = ""
    caller: str | None = None  # the name of its API key
    code: str | None = None  # of its problem document
    stages: Mapping[str, float] = field(default_factory=dict)  # milliseconds
    found: Sequence[Found] = ()
    goes_on: bool = False  # the answer is made while it is sent; who makes it tells `end` when it is over

    def answered(self, results: Sequence[Result]) -> None:
        """Note what a model found."""
        if results:
            last = results[-1].model
            self.model, self.version = last.name, str(last.version)
            self.found = [(result.model, result.detections) for result in results]


def install(app: Flask, ledger: Ledger[Noted]) -> None:
    """Observe every request of the application."""
    application = app.wsgi_app

    def observed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else _made_up()
        noted = environ[NOTED] = Noted(request_id, environ["REQUEST_METHOD"], environ["PATH_INFO"])

        def start(status: str, headers: list[tuple[str, str]], *fault: Any) -> Any:
            noted.status = int(status[:3])
            return start_response(status, [*headers, (REQUEST_ID_HEADER, request_id)], *fault)

        answer = application(environ, start)
        if not noted.goes_on:
            end(ledger, noted)
        return answer

    app.wsgi_app = observed  # type: ignore[method-assign]


def end(ledger: Ledger[Noted], noted: Noted) -> None:
    """Have a request booked whose answer is there, or over."""
    noted.seconds, noted.at = time.perf_counter() - noted.began, time.time()
    ledger.add(noted)


def _made_up() -> str:
    """An id; no secret, so that the system need not be asked for chance at each request."""
    return f"{random.getrandbits(128):032x}"


def stages_ms(results: Sequence[Result]) -> dict[str, float]:
    """The time in each of the detector's stages, added up over the pictures of a request.

    Pictures that are sent together share one prediction, so it counts once.
    """
    if not results:
        return {}
    stages = dict(results[0].timing_ms)
    for result in results[1:]:
        for name, milliseconds in result.timing_ms.items():
            before = 0.0 if name == "predict" else stages.get(name, 0.0)
            stages[name] = before + milliseconds
    stages.pop("total", None)
    return stages


def book(metrics: Metrics, noted: Noted) -> None:
    """Count a request, and write its line."""
    metrics.requests.labels(noted.route, str(noted.status), noted.model, noted.version).inc()
    metrics.request_seconds.labels(noted.route).observe(noted.seconds)
    if noted.code is not None:
        metrics.errors.labels(noted.code).inc()
    for name, milliseconds in noted.stages.items():
        metrics.stage(name, milliseconds)
    for model, detections in noted.found:
        metrics.found(model, detections)
    level = logging.DEBUG if noted.route in _QUIET and noted.code is None else logging.INFO
    if log.isEnabledFor(level):
        log.handle(_record(noted, level))


def _record(noted: Noted, level: int) -> logging.LogRecord:
    """The line in the log, of the moment of the answer or its end."""
    path = get_path_info({"PATH_INFO": noted.path})
    told = {
        "request_id": noted.request_id,
        "method": noted.method,
        "path": path,
        "status": noted.status,
        "ms": round(noted.seconds * 1000, 2),
        "code": noted.code,
        "model": noted.model,
        "version": noted.version,
        "caller": noted.caller,
    }
    words = (noted.method, path, noted.status)
    record = log.makeRecord(log.name, level, __file__, 0, "%s %s %d", words, None, extra=told)
    record.created = noted.at
    return record
