"""Pictures in, boxes out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from flask import Blueprint, Response, g, request

from sightline.detections import Result
from sightline.errors import SightlineError
from sightline_serving.gateway import answers
from sightline_serving.gateway.parts import Parts
from sightline_serving.gateway.requests import read_detect
from sightline_serving.gateway.routes import addresses


def blueprint(parts: Parts) -> Blueprint:
    """`POST …:detect`."""
    routes = Blueprint("detect", __name__)
    settings, metrics = parts.settings, parts.metrics

    def detect(model: str | None = None, version: int | None = None, label: str | None = None) -> Response:
        with parts.gate.admitted():
            asked = read_detect(request, parts.limits, parts.fetcher.fetch)
            kind = answers.wanted_picture(request)
            read = time.perf_counter()
            ref = parts.ref(model, version, label)
            with parts.gate.working(settings.timeout):
                outcomes = parts.detector.detect_many(
                    asked.images,
                    asked.options,
                    model=ref,
                    timeout=settings.timeout,
                    request_id=g.request_id,
                )
                if asked.broken:
                    outcomes = [asked.broken.get(i, outcome) for i, outcome in enumerate(outcomes)]
                found = time.perf_counter()
                for outcome in outcomes:
                    if isinstance(outcome, Result):
                        g.model, g.version = outcome.model.name, outcome.model.version
                        metrics.found(outcome)
                if kind is None:
                    response = answers.results(asked, outcomes)
                else:
                    response = answers.picture(asked, outcomes, kind, settings.max_pixels)
            if parts.shadow is not None:
                parts.shadow.mirror(asked.images, asked.options, ref, outcomes)
        encoded = time.perf_counter()
        stages = {"read": read - g.began, **detector_stages(outcomes), "encode": encoded - found}
        for name, seconds in stages.items():
            metrics.stage(name, seconds)
        response.headers["Server-Timing"] = server_timing({**stages, "total": encoded - g.began})
        return response

    for address in addresses.action("detect"):
        routes.add_url_rule(address, "detect", detect, methods=["POST"])
    return routes


def detector_stages(outcomes: Iterable[Result | SightlineError]) -> dict[str, float]:
    """Seconds in each of the detector's stages, added up over the pictures of a request.

    Pictures that are sent together share one prediction, so it counts once.
    """
    stages: dict[str, float] = {}
    for outcome in outcomes:
        if isinstance(outcome, Result):
            for name, milliseconds in outcome.timing_ms.items():
                shared = name == "predict"
                stages[name] = milliseconds / 1000 + (0.0 if shared else stages.get(name, 0.0))
    stages.pop("total", None)
    return stages


def server_timing(seconds: Mapping[str, float]) -> str:
    """The `Server-Timing` header."""
    return ", ".join(f"{name};dur={value * 1000:.2f}" for name, value in seconds.items())
