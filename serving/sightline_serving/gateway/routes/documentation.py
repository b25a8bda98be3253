"""`/openapi.json`, and `/docs` to read it, both without another host."""

from __future__ import annotations

from http import HTTPStatus
from importlib import resources

import orjson
from flask import Blueprint, Response, current_app

from sightline_serving.gateway import openapi
from sightline_serving.gateway.answers import JSON_TYPE
from sightline_serving.gateway.parts import Parts
from sightline_serving.gateway.routes.page import POLICY


def blueprint(parts: Parts) -> Blueprint:
    """The API's documentation."""
    routes = Blueprint("documentation", __name__)
    folder = resources.files("sightline_serving.gateway").joinpath("page")
    page, code = (folder.joinpath(name).read_bytes() for name in ("docs.html", "docs.js"))

    @routes.get("/openapi.json", endpoint="openapi")
    def openapi_document() -> Response:
        return Response(orjson.dumps(openapi.document(current_app)), content_type=JSON_TYPE)

    @routes.get("/docs")
    def docs() -> Response:
        headers = {"Content-Security-Policy": POLICY}
        return Response(page, content_type="text/html; charset=utf-8", headers=headers)

    @routes.get("/docs/")
    def docs_with_slash() -> Response:
        # Told from here: the page names its files from /docs, and a proxy may have put a path before it.
        return Response(status=HTTPStatus.PERMANENT_REDIRECT, headers={"Location": "../docs"})

    @routes.get("/page/docs.js")
    def script() -> Response:
        return Response(code, content_type="text/javascript; charset=utf-8")

    return routes
