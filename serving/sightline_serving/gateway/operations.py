"""What each route takes and answers, for the OpenAPI document; a test holds it against the routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sightline_serving.gateway.asked_options import FORMATS
from sightline_serving.gateway.problems import PROBLEM_TYPE

Schema = Mapping[str, Any]

BINARY: Final[Schema] = {"type": "string", "format": "binary"}
OBJECT: Final[Schema] = {"type": "object"}
TEXT: Final[Schema] = {"type": "string"}
RESULT: Final[Schema] = {"$ref": "#/components/schemas/Result"}
PROBLEM: Final[Schema] = {"$ref": "#/components/schemas/Problem"}
BASE64: Final[Schema] = {
    "oneOf": [TEXT, {"type": "object", "required": ["b64"], "properties": {"b64": TEXT}}],
    "description": 'base64, a data URL, or {"b64": base64}',
}

_DETECT_OPTIONS: Final[Mapping[str, Schema]] = {
    "threshold": {"type": "number", "minimum": 0, "maximum": 1},
    "max_detections": {"type": "integer", "minimum": 1},
    "classes": {"type": "string", "minLength": 1, "description": "labels to keep, separated by commas"},
}
PICTURE_OPTIONS: Final[Mapping[str, Schema]] = {
    **_DETECT_OPTIONS,
    "format": {"type": "string", "enum": list(FORMATS)},
}
VIDEO_OPTIONS: Final[Mapping[str, Schema]] = {
    **_DETECT_OPTIONS,
    "fps": {
        "type": "number",
        "exclusiveMinimum": 0,
        "description": "frames per second of video; not with every",
    },
    "every": {"type": "integer", "minimum": 1, "description": "the first of every so many frames"},
    "start": {"type": "number", "minimum": 0, "description": "seconds"},
    "end": {"type": "number", "exclusiveMinimum": 0, "description": "seconds; after start"},
}


def _form(field: str, options: Mapping[str, Schema], *, several: bool) -> Schema:
    file = {"type": "array", "items": BINARY} if several else BINARY
    return {"type": "object", "required": [field], "properties": {field: file, **options}}


_PICTURES: Final[Mapping[str, Schema]] = {
    "image/jpeg": BINARY,
    "image/png": BINARY,
    "image/webp": BINARY,
    "application/octet-stream": BINARY,
    "multipart/form-data": _form("image", PICTURE_OPTIONS, several=True),
    "application/json": {
        "type": "object",
        "properties": {
            "image": BASE64,
            "images": {"type": "array", "items": BASE64},
            "url": {"type": "string", "format": "uri", "description": "where the settings allow its host"},
            **PICTURE_OPTIONS,
        },
    },
}
_VIDEOS: Final[Mapping[str, Schema]] = {
    "video/mp4": BINARY,
    "application/octet-stream": BINARY,
    "multipart/form-data": _form("video", VIDEO_OPTIONS, several=False),
}
_DETECTED: Final[Schema] = {
    "anyOf": [
        RESULT,
        {
            "type": "object",
            "required": ["results"],
            "properties": {"results": {"type": "array"}},
            "description": "of several pictures: each a result or its own problem",
        },
        {"type": "array", "description": "format=coco"},
        {"type": "object", "required": ["num_detections"], "description": "format=tfod"},
    ]
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One route, as a caller sees it."""

    summary: str
    answers: Mapping[str, Schema] = field(default_factory=lambda: {"application/json": OBJECT})
    options: Mapping[str, Schema] = field(default_factory=dict)  # query parameters
    body: Mapping[str, Schema] = field(default_factory=dict)  # media type -> schema
    fails: bool = True  # whether it answers problems
    problem_type: str = PROBLEM_TYPE
    problem_schema: Schema = field(default_factory=lambda: PROBLEM)


def _file(summary: str, kind: str) -> Operation:
    return Operation(summary, {kind: TEXT}, fails=False)


_DROPIN: Final[Mapping[str, Any]] = {"problem_type": "application/json", "problem_schema": OBJECT}

OPERATIONS: Final[Mapping[str, Operation]] = {
    "detect.detect": Operation(
        "Find the objects in one picture or several",
        {
            "application/json": _DETECTED,
            "application/xml": TEXT,
            "image/jpeg": BINARY,
            "image/png": BINARY,
            "image/webp": BINARY,
        },
        PICTURE_OPTIONS,
        _PICTURES,
    ),
    "video.detect_video": Operation(
        "Find the objects in a video: a line of JSON per frame, then a summary",
        {"application/x-ndjson": TEXT},
        VIDEO_OPTIONS,
        _VIDEOS,
    ),
    "models.list": Operation("The listed models and the state of their versions"),
    "models.state": Operation("The state of a model's versions, as TensorFlow Serving answers it"),
    "models.card": Operation(
        "What a version says of itself: labels, thresholds, metrics",
        {"application/json": {"$ref": "#/components/schemas/ModelCard"}},
    ),
    "dropin.deepstack": Operation(
        "DeepStack's detection",
        body={
            "multipart/form-data": {
                "type": "object",
                "required": ["image"],
                "properties": {"image": BINARY, "min_confidence": TEXT, "api_key": TEXT},
            }
        },
        **_DROPIN,
    ),
    "dropin.doods": Operation(
        "DOODS's detection",
        body={
            "application/json": {
                "type": "object",
                "required": ["data"],
                "properties": {
                    "data": BASE64,
                    "id": TEXT,
                    "detector_name": TEXT,
                    "detect": {"type": "object", "additionalProperties": {"type": "number"}},
                    "regions": {"type": "array", "items": OBJECT},
                },
            }
        },
        **_DROPIN,
    ),
    "dropin.detectors": Operation("DOODS's list of detectors", **_DROPIN),
    "health.healthz": Operation("Is it alive", fails=False),
    "health.readyz": Operation("Has every listed model a version that answers"),
    "health.metrics": Operation("Prometheus metrics", {"text/plain": TEXT}, fails=False),
    "documentation.openapi": Operation("This document", fails=False),
    "documentation.docs": _file("This document to read and to try", "text/html"),
    "documentation.script": _file("The script of /docs", "text/javascript"),
    "page.index_html": _file("The page that shows what the service sees", "text/html"),
    "page.sightline_js": _file("Its script", "text/javascript"),
    "page.state_js": _file("Its script, what it is at", "text/javascript"),
    "page.service_js": _file("Its script, how the service is asked", "text/javascript"),
    "page.answers_js": _file("Its script, what was found", "text/javascript"),
    "page.drawing_js": _file("Its script, how boxes are drawn", "text/javascript"),
    "page.pictures_js": _file("Its script, pictures and videos", "text/javascript"),
    "page.camera_js": _file("Its script, the camera", "text/javascript"),
    "page.sightline_css": _file("Its looks, and those of /docs", "text/css"),
}
