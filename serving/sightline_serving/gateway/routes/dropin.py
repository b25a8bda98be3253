"""The routes of other detection services, for software that already speaks to one of them.

DeepStack's `/v1/vision/detection` (Frigate, Blue Iris, Agent DVR) and DOODS's `/detect` and `/detectors`
(Home Assistant). They answer, and fail, in the words of the service that they stand in for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from flask import Blueprint, Response, g, request
from flask.typing import ResponseReturnValue

from sightline.contract import ModelRef
from sightline.detections import Detection, Result
from sightline.errors import InvalidOptionError, NoImageError, SightlineError
from sightline.options import DetectOptions
from sightline_serving.gateway import problems
from sightline_serving.gateway.answers import JSON_TYPE
from sightline_serving.gateway.parts import Parts
from sightline_serving.gateway.requests import PICTURE_FIELD, from_base64, read_body, read_json

ANY_LABEL = "*"  # DOODS: a threshold for labels that have none of their own
DEFAULT_NAME = "default"  # DOODS: the detector where none is named


def blueprint(parts: Parts) -> Blueprint:
    """DeepStack's and DOODS's addresses."""
    routes = Blueprint("dropin", __name__)
    _add_deepstack(routes, parts)
    _add_doods(routes, parts)
    return routes


def _add_deepstack(routes: Blueprint, parts: Parts) -> None:
    def deepstack(model: str | None = None) -> Response:
        begun = time.perf_counter()
        if PICTURE_FIELD not in request.files:
            raise NoImageError("No image file found: send it as the form's `image`")
        threshold = request.form.get("min_confidence", 0.4, float)  # DeepStack's own default
        image = request.files[PICTURE_FIELD].read()
        found = _detect(parts, image, DetectOptions(threshold=threshold), ModelRef(model) if model else None)
        predictions = [
            {
                "label": item.label,
                "confidence": item.score,
                "x_min": round(item.box.xmin),
                "y_min": round(item.box.ymin),
                "x_max": round(item.box.xmax),
                "y_max": round(item.box.ymax),
            }
            for item in found.detections
        ]
        milliseconds = round((time.perf_counter() - begun) * 1000)
        return _json({"success": True, "predictions": predictions, "duration": milliseconds})

    view = _answering(deepstack, lambda error: {"success": False, "error": error.detail})
    routes.add_url_rule("/v1/vision/detection", "deepstack", view, methods=["POST"])
    routes.add_url_rule("/v1/vision/custom/<model>", "deepstack", view, methods=["POST"])


def _add_doods(routes: Blueprint, parts: Parts) -> None:
    def doods() -> Response:
        asked = read_json(read_body(request))
        thresholds = _thresholds(asked.get("detect"))
        name = asked.get("detector_name") or DEFAULT_NAME
        ref = None if name == DEFAULT_NAME else ModelRef(str(name))
        options = DetectOptions(threshold=min(thresholds.values()))
        found = _detect(parts, from_base64(asked.get("data"), "data"), options, ref)
        kept = [
            item
            for item in found.detections
            if item.score >= thresholds.get(item.label, thresholds[ANY_LABEL])
        ]
        regions = asked.get("regions") or ()
        if regions:
            kept = [item for item in kept if any(_inside(item, region) for region in regions)]
        return _json({"id": asked.get("id", ""), "detections": [_as_doods(item) for item in kept]})

    def detectors() -> Response:
        listed = []
        for name in parts.settings.listed_models:
            known = parts.detector.catalog.current(ModelRef(name))
            size = known.family.resize
            labels = [known.labels[key] for key in sorted(known.labels)]
            listed.append(
                {
                    "name": name,
                    "type": "tensorflow",
                    "model": f"{name}/{known.version}",
                    "labels": labels,
                    "width": size.width,
                    "height": size.height,
                }
            )
        return _json({"detectors": listed})

    def failed(error: SightlineError) -> dict[str, Any]:
        return {"error": error.detail, "code": error.http_status}

    routes.add_url_rule("/detect", "doods", _answering(doods, failed), methods=["POST"])
    routes.add_url_rule("/detectors", "detectors", _answering(detectors, failed))


def _detect(parts: Parts, image: bytes, options: DetectOptions, ref: ModelRef | None) -> Result:
    with parts.gate.admitted(), parts.gate.working(parts.settings.timeout):
        found = parts.detector.detect(
            image,
            options,
            model=ref or parts.ref(None),
            timeout=parts.settings.timeout,
            request_id=g.request_id,
        )
    g.model, g.version = found.model.name, found.model.version
    parts.metrics.found(found)
    parts.metrics.timings(found.timing_ms)
    return found


def _thresholds(detect: Any) -> dict[str, float]:
    """DOODS's `{"*": 60, "person": 50}`, per cent, as scores; without `*`, other labels are left out."""
    given = detect if detect is not None else {ANY_LABEL: 50}
    if not isinstance(given, dict) or not given:
        raise InvalidOptionError("`detect` maps labels, or *, to per cent")
    try:
        scores = {str(label): min(max(float(percent) / 100, 0.0), 1.0) for label, percent in given.items()}
    except (TypeError, ValueError):
        raise InvalidOptionError("`detect` maps labels, or *, to per cent") from None
    return {ANY_LABEL: 1.0 + 1e-9, **scores} if ANY_LABEL not in scores else scores


def _inside(item: Detection, region: Any) -> bool:
    """Whether a detection lies in a region (wholly, if it `covers`) and reaches its thresholds."""
    try:
        top, left = float(region.get("top", 0)), float(region.get("left", 0))
        bottom, right = float(region.get("bottom", 1)), float(region.get("right", 1))
    except (AttributeError, TypeError, ValueError):
        raise InvalidOptionError("a region has top, left, bottom and right from 0 to 1") from None
    ymin, xmin, ymax, xmax = item.box_normalized
    if region.get("covers"):
        within = top <= ymin and left <= xmin and ymax <= bottom and xmax <= right
    else:
        within = ymin < bottom and xmin < right and ymax > top and xmax > left
    scores = _thresholds(region["detect"]) if region.get("detect") else {ANY_LABEL: 0.0}
    return within and item.score >= scores.get(item.label, scores[ANY_LABEL])


def _as_doods(item: Detection) -> dict[str, Any]:
    ymin, xmin, ymax, xmax = item.box_normalized
    return {
        "top": ymin,
        "left": xmin,
        "bottom": ymax,
        "right": xmax,
        "label": item.label,
        "confidence": round(item.score * 100, 4),
    }


def _answering(
    view: Callable[..., Response], failed: Callable[[SightlineError], Mapping[str, Any]]
) -> Callable[..., ResponseReturnValue]:
    """A view whose errors are told in the words of the service that it stands in for."""

    def answer(**place: str) -> ResponseReturnValue:
        try:
            return view(**place)
        except SightlineError as error:
            response = problems.respond(error)
            response.data, response.content_type = orjson.dumps(failed(error)), JSON_TYPE
            return response

    answer.__doc__ = view.__doc__
    return answer


def _json(plain: Mapping[str, Any] | Iterable[Any]) -> Response:
    return Response(orjson.dumps(plain), content_type=JSON_TYPE)
