"""What surrounds every request: its id, its time, its line in the log, its place in the metrics."""

from __future__ import annotations

import logging
import re
import time
import uuid
from typing import Final

from flask import Flask, Response, g, request

from sightline_serving.gateway.metrics import Metrics

REQUEST_ID_HEADER: Final = "X-Request-ID"
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")  # printable ASCII without blanks: safe in header and log
_QUIET: Final = frozenset({"health.healthz", "health.readyz", "health.metrics"})  # asked every few seconds
log = logging.getLogger("sightline.request")


def install(app: Flask, metrics: Metrics) -> None:
    """Observe every request of the application."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get(REQUEST_ID_HEADER, "")
        vars(g).update(  # at once, as each look through the proxy costs
            began=time.perf_counter(),
            request_id=given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex,
            model="",  # and version: told by the route, once one has answered, never what the caller made up
            version="",
        )

    @app.after_request
    def end(response: Response) -> Response:
        known, endpoint, method, path = vars(g), request.endpoint, request.method, request.path
        response.headers[REQUEST_ID_HEADER] = known["request_id"]
        route, status = endpoint or "none", response.status_code
        seconds = time.perf_counter() - known["began"]
        metrics.requests.labels(route, status, known["model"], known["version"]).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        code = known.get("error_code")
        if code is not None:
            metrics.errors.labels(code).inc()
        log.log(
            logging.DEBUG if route in _QUIET and code is None else logging.INFO,
            "%s %s %d",
            method,
            path,
            status,
            extra={
                "request_id": known["request_id"],
                "method": method,
                "path": path,
                "status": status,
                "ms": round(seconds * 1000, 2),
                "code": code,
                "model": known["model"],
                "version": known["version"],
                "caller": known.get("caller"),
            },
        )
        return response
