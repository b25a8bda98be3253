"""The page at `/`: shows what the service sees. A few small files, no build step, no other hosts."""

from __future__ import annotations

from importlib import resources
from typing import Final

from flask import Blueprint, Response

from sightline_serving.gateway.parts import Parts

# Pictures and videos that the user chose live in the browser as blob: addresses; nothing else is loaded.
POLICY: Final = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SCRIPTS: Final = ("sightline", "state", "service", "answers", "drawing", "pictures", "camera")
_FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page/sightline.css": ("sightline.css", "text/css; charset=utf-8"),
    **{f"/page/{name}.js": (f"{name}.js", "text/javascript; charset=utf-8") for name in SCRIPTS},
}


def blueprint(parts: Parts) -> Blueprint:
    """`GET /` and its files."""
    routes = Blueprint("page", __name__)
    folder = resources.files("sightline_serving.gateway").joinpath("page")
    for address, (name, kind) in _FILES.items():
        content = folder.joinpath(name).read_bytes()

        def file(content: bytes = content, kind: str = kind) -> Response:
            headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
            return Response(content, content_type=kind, headers=headers)

        routes.add_url_rule(address, name.replace(".", "_"), file)
    return routes
