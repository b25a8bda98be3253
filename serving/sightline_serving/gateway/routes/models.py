"""Which models there are, in what state, and what each says of itself."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response

from sightline.contract import ModelCard, ModelRef
from sightline.errors import ModelNotFoundError
from sightline_serving.gateway.answers import JSON_TYPE
from sightline_serving.gateway.parts import Parts
from sightline_serving.gateway.routes import addresses


def blueprint(parts: Parts) -> Blueprint:
    """`GET /v1/models…`."""
    routes = Blueprint("models", __name__)

    def states(ref: ModelRef) -> list[dict[str, Any]]:
        """As TensorFlow Serving's REST API answers `/v1/models/{model}`."""
        return [
            {
                "version": str(status.version),
                "state": status.state,
                "status": {"error_code": "UNKNOWN" if status.error else "OK", "error_message": status.error},
            }
            for status in parts.detector.stub.status(ref)
        ]

    def listed() -> Response:
        models = []
        for name in parts.settings.listed_models:
            try:
                found = states(ModelRef(name))
            except ModelNotFoundError:
                found = []
            models.append(
                {"name": name, "default": name == parts.settings.model, "model_version_status": found}
            )
        return _json({"models": models})

    def state(model: str, version: int | None = None, label: str | None = None) -> Response:
        return _json({"name": model, "model_version_status": states(parts.steady_ref(model, version, label))})

    def card(model: str, version: int | None = None, label: str | None = None) -> Response:
        known = parts.detector.catalog.refresh(parts.steady_ref(model, version, label))
        size = known.family.resize
        told = known.card or ModelCard(known.name, known.labels, size.height, size.width)
        return _json({"model": {"name": known.name, "version": known.version}, **told.to_dict()})

    routes.add_url_rule("/v1/models", "list", listed)
    for place in addresses.MODELS:
        routes.add_url_rule(place, "state", state)
        routes.add_url_rule(f"{place}/card", "card", card)
    return routes


def _json(plain: Any) -> Response:
    return Response(orjson.dumps(plain), content_type=JSON_TYPE)
