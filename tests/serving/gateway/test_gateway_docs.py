"""docs/gateway.md names every setting with its default, every option, and every route."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from sightline_serving.gateway.asked_options import PICTURE_OPTIONS, VIDEO_OPTIONS
from sightline_serving.gateway.settings import FILE_VARIABLE, Settings, variable


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "gateway.md").read_text(encoding="utf-8")


def test_every_setting(page: str) -> None:
    assert FILE_VARIABLE in page
    for name, field in Settings.model_fields.items():
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{variable(name)}` |"))
        assert field.description is not None
        assert field.description in row
        if field.default not in (None, ()) and not field.is_required():
            assert f"`{field.default}`" in row


def test_every_option(page: str) -> None:
    for name in (*PICTURE_OPTIONS, *VIDEO_OPTIONS):
        assert f"`{name}`" in page


def test_every_route(page: str, client: FlaskClient) -> None:
    for rule in client.application.url_map.iter_rules():
        if rule.endpoint.startswith("page."):
            continue
        path = rule.rule.replace("<int:", "<").replace("<", "{").replace(">", "}")
        if path.startswith("/v1/models/{model}/") and not path.endswith("/card"):
            continue  # versions and labels, told once for all
        if "/versions/" in path or "/labels/" in path or path in {"/page/docs.js", "/docs/"}:
            continue
        assert f" {path}`" in page, path
