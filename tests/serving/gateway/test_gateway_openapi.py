"""The OpenAPI document is made of the code, complete, and true of the running service."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from flask.testing import FlaskClient
from support.fake_serving import FakeServing
from support.gateways import running
from support.pictures import jpeg

from sightline_serving.gateway.asked_options import PICTURE_OPTIONS as PICTURE_READERS
from sightline_serving.gateway.asked_options import VIDEO_OPTIONS as VIDEO_READERS
from sightline_serving.gateway.operations import OPERATIONS, PICTURE_OPTIONS, VIDEO_OPTIONS


def test_every_route_is_described_and_nothing_else(client: FlaskClient) -> None:
    routes = {rule.endpoint for rule in client.application.url_map.iter_rules()}
    assert routes == {*OPERATIONS, "documentation.docs_with_slash"}  # which leads to one of them


def test_every_option_that_is_read_is_described(client: FlaskClient) -> None:
    assert set(PICTURE_OPTIONS) == set(PICTURE_READERS)
    assert set(VIDEO_OPTIONS) == set(VIDEO_READERS)


def _schema(spec: Any, path: str, method: str, status: int, kind: str) -> Any:
    found = spec["paths"][path][method]["responses"][str(status)]["content"][kind]["schema"]
    return {**found, "components": spec["components"]}


def test_answers_are_as_they_are_described(client: FlaskClient) -> None:
    spec = client.get("/openapi.json").get_json()
    for response, status, path, method in (
        (client.post("/v1/detect", data=jpeg()), 200, "/v1/detect", "post"),
        (
            client.post("/v1/detect", json={"images": [base64.b64encode(jpeg()).decode()]}),
            200,
            "/v1/detect",
            "post",
        ),
        (client.post("/v1/detect", data=b"text"), 415, "/v1/detect", "post"),
        (client.get("/v1/models/droids/card"), 200, "/v1/models/{model}/card", "get"),
        (client.get("/v1/models/nobody/card"), 404, "/v1/models/{model}/card", "get"),
    ):
        assert response.status_code == status
        schema = _schema(spec, path, method, status, response.content_type)
        jsonschema_rs.Draft202012Validator(schema).validate(response.get_json())
        with pytest.raises(jsonschema_rs.ValidationError):
            jsonschema_rs.Draft202012Validator(schema).validate({"strange": 1})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_that_the_document_allows_gives_a_5xx_or_an_undocumented_answer(
    serving: FakeServing, tmp_path: Path
) -> None:
    with running(serving.target, workers=2) as gateway:
        command = (
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{gateway.url}/openapi.json",
            "--checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            "--phases=examples,coverage,fuzzing",
            "--max-examples=25",
            "--workers=2",
            "--seed=1",
            "--request-timeout=20",
            "--no-color",
        )
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=540, check=False, cwd=tmp_path, env=os.environ
        )
    assert run.returncode == 0, run.stdout[-6000:]
    passed = re.search(r"generated, (\d+) passed", run.stdout)
    assert passed is not None, run.stdout[-2000:]
    assert int(passed[1]) > 500
