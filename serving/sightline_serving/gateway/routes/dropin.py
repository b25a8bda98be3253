"""The routes of other detection services, for software that already speaks to one of them.

DeepStack's `/v1/vision/detection` (Frigate, Blue Iris, Agent DVR) and DOODS's `/detect` and `/detectors`
(Home Assistant). They answer, and fail, in the words of the service that they stand in for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from flask import Blueprint

from sightline.contract import ModelRef
from sightline.detections import Detection, Result
from sightline.errors import (
    InvalidOptionError,
    ModelNotFoundError,
    NoImageError,
    SightlineError,
    SignatureError,
)
from sightline.options import DetectOptions
from sightline_serving.gateway import observe, problems
from sightline_serving.gateway.answers import JSON_TYPE
from sightline_serving.gateway.application import Answer, Operation, Request, View
from sightline_serving.gateway.asked_options import number
from sightline_serving.gateway.parts import Parts
from sightline_serving.gateway.requests import PICTURE_FIELD, from_base64, read_body, read_json

DEEPSTACK_THRESHOLD: Final = 0.4  # DeepStack's own, where a request names none
ANY_LABEL: Final = "*"  # DOODS: a threshold for labels that have none of their own
DEFAULT_NAME: Final = "default"  # DOODS: the detector in its own configuration, and in most of its clients'
DOODS_PER_CENT: Final = 50  # where a request names no label
DOODS_TAKEN: Final = 'send {"detector_name": "default", "data": BASE64, "detect": {"*": 50}}'
NEVER: Final = 2.0  # a threshold that no score reaches


def blueprint(parts: Parts) -> Blueprint:
    """DeepStack's and DOODS's addresses."""
    routes = Blueprint("dropin", __name__)
    _add_deepstack(routes, parts)
    _add_doods(routes, parts)
    return routes


def _add_deepstack(routes: Blueprint, parts: Parts) -> None:
    def deepstack(request: Request, model: str | None = None) -> Answer:
        begun = time.perf_counter()
        with parts.gate.admitted:  # before the form is read, which takes as long as its sender likes
            parts.guard.check_form(request)
            options, image = _deepstack_form(request)
            found = _detect(parts, request, image, options, parts.ref(model))
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


def _deepstack_form(request: Request) -> tuple[DetectOptions, bytes]:
    if PICTURE_FIELD not in request.files:
        raise NoImageError("No image file found: send it as the form's `image`")
    threshold = DEEPSTACK_THRESHOLD
    if (given := request.form.get("min_confidence")) is not None:
        threshold = number("min_confidence", given)
    return DetectOptions(threshold=threshold), request.files[PICTURE_FIELD].read()


def _add_doods(routes: Blueprint, parts: Parts) -> None:
    def doods(request: Request) -> Answer:
        with parts.gate.admitted:
            asked = read_json(read_body(request), DOODS_TAKEN)
            thresholds = _thresholds(asked.get("detect"))
            regions = [_Region.read(region) for region in _list(asked.get("regions"))]
            ref = _named(parts, asked.get("detector_name"))
            options = DetectOptions(threshold=min(1.0, *thresholds.values()))
            if not asked.get("data"):
                raise NoImageError(f"the request holds no picture in `data`; {DOODS_TAKEN}")
            image = from_base64(asked["data"], "data")
            found = _detect(parts, request, image, options, ref)
        kept = [
            item
            for item in found.detections
            if item.score >= thresholds.get(item.label, thresholds[ANY_LABEL])
            and (not regions or any(region.keeps(item) for region in regions))
        ]
        return _json({"id": asked.get("id", ""), "detections": [_as_doods(item) for item in kept]})

    def detectors(request: Request) -> Answer:
        listed, missing = [], None
        for model in parts.settings.listed_models:
            try:
                described = _detector(parts, model)
            except (ModelNotFoundError, SignatureError) as fault:  # of this model; the others may answer
                missing = missing or fault
                continue
            names = (DEFAULT_NAME, model) if model == parts.settings.model else (model,)
            listed += [{"name": name, **described} for name in names]
        if missing and not listed:
            raise missing
        return _json({"detectors": listed})

    def failed(error: SightlineError) -> dict[str, Any]:
        return {"error": error.detail, "code": error.http_status}

    routes.add_url_rule("/detect", "doods", _answering(doods, failed), methods=["POST"])
    routes.add_url_rule("/detectors", "detectors", _answering(detectors, failed))


def _named(parts: Parts, name: Any) -> ModelRef:
    """The model that DOODS's `detector_name` means."""
    if not isinstance(name, str | None):
        raise InvalidOptionError("`detector_name` is the name of a detector; /detectors lists them")
    return parts.ref(None if name == DEFAULT_NAME else name)


def _detector(parts: Parts, model: str) -> dict[str, Any]:
    """A model as DOODS lists its detectors, but for the name, by which clients look for it."""
    known = parts.detector.catalog.current(parts.steady_ref(model))
    size = known.family.resize
    return {
        "type": "tensorflow",
        "model": f"{model}/{known.version}",
        "labels": [known.labels[key] for key in sorted(known.labels)],
        "width": size.width,
        "height": size.height,
    }


def _detect(parts: Parts, request: Request, image: bytes, options: DetectOptions, ref: ModelRef) -> Result:
    with parts.gate.working:
        found = parts.detector.detect(
            image,
            options,
            model=ref,
            timeout=parts.settings.timeout,
            request_id=request.noted.request_id,
        )
    request.noted.answered([found])
    request.noted.stages = observe.stages_ms([found])
    return found


def _thresholds(detect: Any) -> dict[str, float]:
    """DOODS's `{"*": 60, "person": 50}`, per cent, as scores; without `*`, other labels are left out."""
    given = detect or {ANY_LABEL: DOODS_PER_CENT}
    if not isinstance(given, dict):
        raise InvalidOptionError("`detect` maps labels, or *, to per cent")
    scores = {str(label): min(number("detect", percent) / 100, 1.0) for label, percent in given.items()}
    return {ANY_LABEL: NEVER, **scores}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | None):
        raise InvalidOptionError("`regions` is a list")
    return value or []


@dataclass(frozen=True, slots=True)
class _Region:
    """A part of the picture, with thresholds of its own."""

    sides: Mapping[str, float]  # 0 to 1 of the picture
    covers: bool  # whether it keeps only what lies wholly in it
    thresholds: Mapping[str, float]  # label, or *, -> score

    @classmethod
    def read(cls, plain: Any) -> _Region:
        if not isinstance(plain, dict):
            raise InvalidOptionError("a region is an object with top, left, bottom and right")
        whole = {"top": 0.0, "left": 0.0, "bottom": 1.0, "right": 1.0}
        sides = {side: number(side, plain.get(side, edge)) for side, edge in whole.items()}
        own = _thresholds(plain["detect"]) if plain.get("detect") else {ANY_LABEL: 0.0}
        return cls(sides, bool(plain.get("covers")), own)

    def keeps(self, item: Detection) -> bool:
        top, left, bottom, right = self.sides.values()
        ymin, xmin, ymax, xmax = item.box_normalized
        if self.covers:
            within = top <= ymin and left <= xmin and ymax <= bottom and xmax <= right
        else:
            within = ymin < bottom and xmin < right and ymax > top and xmax > left
        return within and item.score >= self.thresholds.get(item.label, self.thresholds[ANY_LABEL])


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


def _answering(operation: Operation, failed: Callable[[SightlineError], Mapping[str, Any]]) -> View:
    """A view whose errors are told in the words of the service that it stands in for."""

    def answer(request: Request, **place: Any) -> Answer:
        try:
            return operation(request, **place)
        except SightlineError as error:
            told = problems.respond(error, request)
            return told._replace(body=orjson.dumps(failed(error)), content_type=JSON_TYPE)

    return View(answer)


def _json(plain: Mapping[str, Any] | Iterable[Any]) -> Answer:
    return Answer(orjson.dumps(plain), JSON_TYPE)
