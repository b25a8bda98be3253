"""The OpenAPI document, made of the code: its routes, its option readers, its result types, its errors."""

from __future__ import annotations

import dataclasses
import re
from http import HTTPStatus
from typing import Any, Final, get_type_hints

from flask import Flask
from pydantic import TypeAdapter
from werkzeug.routing import Rule

from sightline import __version__
from sightline.contract import ModelCard
from sightline.detections import Result
from sightline.errors import every_error
from sightline_serving.gateway.operations import OPERATIONS, Operation
from sightline_serving.gateway.problems import PROBLEM_TYPE

_ARGUMENT: Final = re.compile(r"<(?:(\w+):)?(\w+)>")
_REFERENCES: Final = "#/components/schemas/{model}"
_STATUSES: Final = sorted({cls.http_status for cls in every_error()} - {HTTPStatus.METHOD_NOT_ALLOWED})


def document(app: Flask) -> dict[str, Any]:
    """OpenAPI 3.1 for every route of the application."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        if rule.endpoint not in OPERATIONS:  # it leads to one that is
            continue
        path = _ARGUMENT.sub(r"{\2}", rule.rule)
        operation = OPERATIONS[rule.endpoint]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _operation(operation, rule, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sightline",
            "version": __version__,
            "description": "Pictures and videos in, labelled boxes out. Errors are RFC 9457 problems.",
        },
        "tags": [{"name": name} for name in app.blueprints],  # in the order that a reader wants them
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": _SECURITY},
        "security": [{}, {"bearer": []}, {"key": []}],
    }


_SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def _operation(operation: Operation, rule: Rule, path: str) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", path).strip("_") or "page"
    described: dict[str, Any] = {
        "operationId": name,
        "summary": operation.summary,
        "tags": [rule.endpoint.partition(".")[0]],
        "responses": _responses(operation),
    }
    parameters = [
        {
            "name": argument,
            "in": "path",
            "required": True,
            "schema": {"type": "integer", "minimum": 0}
            if kind == "int"
            else {"type": "string", "minLength": 1},
        }
        for kind, argument in _ARGUMENT.findall(rule.rule)
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": dict(schema)}
        for name, schema in operation.options.items()
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.body:
        content = {kind: {"schema": dict(schema)} for kind, schema in operation.body.items()}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _responses(operation: Operation) -> dict[str, Any]:
    content = {kind: {"schema": dict(schema)} for kind, schema in operation.answers.items()}
    responses: dict[str, Any] = {"200": {"description": "As asked", "content": content}}
    if operation.fails:
        problem = {operation.problem_type: {"schema": dict(operation.problem_schema)}}
        for status in _STATUSES:
            responses[str(status)] = {
                "description": ", ".join(
                    sorted(cls.code for cls in every_error() if cls.http_status == status)
                ),
                "content": {
                    **problem,
                    PROBLEM_TYPE: {"schema": {"$ref": _REFERENCES.format(model="Problem")}},
                },
            }
    return responses


def _schemas() -> dict[str, Any]:
    """The result and the card as their types have them; the problem as RFC 9457 has it."""
    schemas: dict[str, Any] = {}
    for kind in (Result, ModelCard):
        schema = TypeAdapter(_public(kind)).json_schema(ref_template=_REFERENCES, mode="serialization")
        schemas.update(schema.pop("$defs", {}))
        schemas[kind.__name__] = schema
    schemas["Problem"] = _PROBLEM
    return schemas


def _public(kind: type[Any]) -> type[Any]:
    """A dataclass without the fields that it keeps to itself."""
    hints = get_type_hints(kind)
    shown = [item for item in dataclasses.fields(kind) if not item.name.startswith("_")]
    return dataclasses.make_dataclass(kind.__name__, [(item.name, hints[item.name]) for item in shown])


_PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what was wrong, and what would be right"},
        "code": {"type": "string", "enum": sorted(cls.code for cls in every_error())},
        "request_id": {"type": "string"},
    },
}
