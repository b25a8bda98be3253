"""Is it alive, is it ready, how is it doing."""

from __future__ import annotations

import logging
from typing import Final

import orjson
from flask import Blueprint, Response

from sightline.contract import ModelRef
from sightline.errors import ModelNotFoundError, SightlineError, UnavailableError
from sightline_serving.gateway.answers import JSON_TYPE
from sightline_serving.gateway.metrics import CONTENT_TYPE
from sightline_serving.gateway.parts import Parts

log = logging.getLogger(__name__)
READY_TIMEOUT: Final = 2.0  # seconds; a probe that waits longer has its answer


def blueprint(parts: Parts) -> Blueprint:
    """`GET /healthz`, `/readyz` and `/metrics`."""
    routes = Blueprint("health", __name__)

    @routes.get("/healthz")
    def healthz() -> Response:
        """The process answers; whether Serving does is no reason to restart it."""
        return Response(b'{"status":"ok"}', content_type=JSON_TYPE)

    @routes.get("/readyz")
    def readyz() -> Response:
        """Every listed model has a version that answers; each is known by then, if it can be."""
        versions = {}
        for name in parts.settings.listed_models:
            try:
                states = parts.detector.stub.status(ModelRef(name), timeout=READY_TIMEOUT)
            except ModelNotFoundError:  # yet, perhaps; 404 would say that there is no such address here
                states = ()
            ready = [status.version for status in states if status.available]
            if not ready:
                told = ", ".join(f"{status.version} is {status.state}" for status in states) or "it has none"
                raise UnavailableError(f"no version of {name} is AVAILABLE: {told}")
            versions[name] = ready
            ref = parts.steady_ref(name)
            try:
                parts.detector.catalog.current(ref, timeout=READY_TIMEOUT)
            except ModelNotFoundError as fault:  # a label that nobody has: every request would fail
                raise UnavailableError(f"{ref} is not served: {fault.detail}") from None
            except SightlineError:
                log.debug("%s is not known yet", ref, exc_info=True)  # told to those who ask that model
        return Response(orjson.dumps({"status": "ready", "models": versions}), content_type=JSON_TYPE)

    @routes.get("/metrics")
    def metrics() -> Response:
        parts.ledger.settle()
        return Response(parts.metrics.exposition(), content_type=CONTENT_TYPE)

    return routes
