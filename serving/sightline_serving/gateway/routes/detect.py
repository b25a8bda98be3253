"""Pictures in, boxes out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache

from flask import Blueprint

from sightline.detections import Result
from sightline_serving.gateway import answers, observe
from sightline_serving.gateway.application import Answer, Request, View
from sightline_serving.gateway.parts import Parts
from sightline_serving.gateway.requests import read_detect
from sightline_serving.gateway.routes import addresses


def blueprint(parts: Parts) -> Blueprint:
    """`POST …:detect`."""
    routes = Blueprint("detect", __name__)
    settings = parts.settings

    def detect(
        request: Request, model: str | None = None, version: int | None = None, label: str | None = None
    ) -> Answer:
        noted = request.noted
        with parts.gate.admitted:
            asked = read_detect(request, parts.limits, parts.fetcher.fetch)
            kind = answers.wanted_picture(request)
            read = time.perf_counter()
            ref = parts.ref(model, version, label)
            with parts.gate.working:
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
                noted.answered(results)
                if kind is None:
                    body, kind = answers.results(asked, outcomes, noted.request_id)
                else:
                    body, kind = answers.picture(asked, outcomes, kind, settings.max_pixels)
            if parts.shadow is not None:
                parts.shadow.mirror(asked.images, asked.options, ref, outcomes)
        encoded = time.perf_counter()
        noted.stages = stages = {
            "read": (read - noted.began) * 1000,
            **observe.stages_ms(results),
            "encode": (encoded - found) * 1000,
        }
        timing = server_timing({**stages, "total": (encoded - noted.began) * 1000})
        return Answer(body, kind, headers=(("Server-Timing", timing),))

    view = View(detect)
    for address in addresses.action("detect"):
        routes.add_url_rule(address, "detect", view, methods=["POST"])
    return routes


def server_timing(milliseconds: Mapping[str, float]) -> str:
    """The `Server-Timing` header."""
    return _timing_of(tuple(milliseconds)) % tuple(milliseconds.values())


@lru_cache  # the stages are nearly always the same
def _timing_of(names: tuple[str, ...]) -> str:
    return ", ".join([f"{name};dur=%.2f" for name in names])
