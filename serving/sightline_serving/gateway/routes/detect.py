"""Pictures in, boxes out."""

from __future__ import annotations

import time
from collections.abc import Mapping

from flask import Blueprint, Response
from flask.globals import app_ctx, request_ctx

from sightline.detections import Result
from sightline_serving.gateway import answers, observe
from sightline_serving.gateway.parts import Parts
from sightline_serving.gateway.requests import read_detect
from sightline_serving.gateway.routes import addresses


def blueprint(parts: Parts) -> Blueprint:
    """`POST …:detect`."""
    routes = Blueprint("detect", __name__)
    settings = parts.settings

    def detect(model: str | None = None, version: int | None = None, label: str | None = None) -> Response:
        request, noted = request_ctx.request, app_ctx.g  # themselves: each look through a proxy costs
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
                    request_id=noted.request_id,
                )
                if asked.broken:
                    outcomes = [asked.broken.get(i, outcome) for i, outcome in enumerate(outcomes)]
                found = time.perf_counter()
                results = [outcome for outcome in outcomes if isinstance(outcome, Result)]
                observe.found(results)
                if kind is None:
                    response = answers.results(asked, outcomes)
                else:
                    response = answers.picture(asked, outcomes, kind, settings.max_pixels)
            if parts.shadow is not None:
                parts.shadow.mirror(asked.images, asked.options, ref, outcomes)
        encoded = time.perf_counter()
        noted.stages = stages = {
            "read": read - noted.began,
            **observe.seconds(results),
            "encode": encoded - found,
        }
        response.headers["Server-Timing"] = server_timing({**stages, "total": encoded - noted.began})
        return response

    for address in addresses.action("detect"):
        routes.add_url_rule(address, "detect", detect, methods=["POST"])
    return routes


def server_timing(seconds: Mapping[str, float]) -> str:
    """The `Server-Timing` header."""
    return ", ".join(f"{name};dur={value * 1000:.2f}" for name, value in seconds.items())
