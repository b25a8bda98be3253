"""The REST API: each kind of request, the errors with their codes, and the text to the last space."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from typing import Any

import pytest
from support.model_servers import ServedHere, server_here
from support.serving_calls import rest

from sightline_serving.model_server.rest import MAX_UNPACKED

Served = ServedHere


def ask(server: Served, path: str, body: Any = None, **options: Any) -> Any:
    return rest(f"{server.url}/v1/models/{path}", body, **options)


def test_rows(server: Served) -> None:
    answer = ask(server, "module:predict", {"instances": [1.0, 2.0, 5.0]})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.text == '{\n    "predictions": [2.5, 3.0, 4.5\n    ]\n}'


def test_rows_of_objects(server: Served) -> None:
    instances = [{"a": 1.0, "b": 2}, {"a": 0.5, "b": 3}]
    answer = ask(server, "module:predict", {"signature_name": "add", "instances": instances})
    assert answer.text == (
        '{\n    "predictions": [\n        {\n            "b_again": 2,\n            "sum": 3.0\n        },\n'
        '        {\n            "b_again": 3,\n            "sum": 3.5\n        }\n    ]\n}'
    )


def test_columns(server: Served) -> None:
    answer = ask(server, "module:predict", {"inputs": [1.0, 2.0]})
    assert answer.text == '{\n    "outputs": [\n        2.5,\n        3.0\n    ]\n}'
    body = {"signature_name": "add", "inputs": {"a": [1.0], "b": [2]}}
    answer = ask(server, "module/versions/1:predict", body)
    assert answer.json == {"outputs": {"sum": [3.0], "b_again": [2]}}


def test_lists_in_lists(server: Served) -> None:
    rows = [[1.0, 0.0, 0.0, 0.0], [0, 0, 0, 2]]
    answer = ask(server, "module:predict", {"signature_name": "multiply", "instances": rows})
    assert answer.json["predictions"] == [
        {"products": [0.0, 1.0, 2.0], "sums": 1.0},
        {"products": [18.0, 20.0, 22.0], "sums": 2.0},
    ]


def test_base64_in_and_out(server: Served) -> None:
    words = [{"b64": base64.b64encode(raw).decode()} for raw in (b"\x00\xffimage", b"plain")]
    answer = ask(server, "module:predict", {"signature_name": "echo", "instances": words[1:]})
    assert answer.json["predictions"] == [{"words": "plain", "words_bytes": words[1]}]
    answer = ask(server, "module:predict", {"signature_name": "echo", "inputs": {"words": words}})
    assert answer.json["outputs"]["words_bytes"] == words


def test_classify_and_regress(server: Served) -> None:
    body = {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}, {"x": [4.0]}]}
    assert ask(server, "half_plus_two:classify", body).text == (
        '{\n    "results": [[["", 3.0]], [["", 4.0]]\n    ]\n}'
    )
    body["signature_name"] = "regress_x_to_y"
    assert ask(server, "half_plus_two:regress", body).text == '{\n    "results": [3.0, 4.0]\n}'
    with_context = {**body, "context": {"x": 6.0}, "examples": [{}, {"x": 8.0}]}
    assert ask(server, "half_plus_two:regress", with_context).json == {"results": [5.0, 6.0]}


def test_status(server: Served) -> None:
    assert ask(server, "module").text == (
        '{\n "model_version_status": [\n  {\n   "version": "1",\n   "state": "AVAILABLE",\n   "status": {\n'
        '    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
    )
    assert ask(server, "module/versions/1").json == ask(server, "module").json


def test_metadata(server: Served) -> None:
    told = ask(server, "module/metadata").json
    assert told["model_spec"] == {"name": "module", "signature_name": "", "version": "1"}
    signature = told["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert signature["method_name"] == "tensorflow/serving/predict"


def test_a_gzipped_body(server: Served) -> None:
    body = gzip.compress(json.dumps({"instances": [1.0]}).encode())
    answer = ask(server, "module:predict", body, headers={"Content-Encoding": "gzip"})
    assert answer.json == {"predictions": [2.5]}
    answer = ask(server, "module:predict", b"not gzip", headers={"Content-Encoding": "gzip"})
    assert answer.status == 400


def test_a_gzipped_body_is_unpacked_as_far_as_the_limit(server: Served) -> None:
    packed = gzip.compress(b'{"instances": [1.0' + b" " * MAX_UNPACKED + b"]}", 9)
    tracemalloc.start()  # the server is in this process
    try:
        answer = ask(server, "module:predict", packed * 20, headers={"Content-Encoding": "gzip"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == 413
    assert str(MAX_UNPACKED) in answer.json["error"]
    assert peak < 3 * MAX_UNPACKED


def test_numbers_that_json_has_not_and_numbers_as_short_as_they_can_be(server: Served) -> None:
    answer = ask(server, "module:predict", '{"instances": [NaN, Infinity, -Infinity, 0.2, 1e10, 3e-5]}')
    assert answer.text.splitlines()[1] == (
        '    "predictions": [NaN, Infinity, -Infinity, 2.1, 5e+09, 2.00001502'
    )


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("nomodel:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(nomodel)"),
        (
            "module/versions/9:predict",
            {"instances": [1]},
            404,
            "Servable not found for request: Specific(module, 9)",
        ),
        (
            "module/labels/stable:predict",
            {"instances": [1]},
            400,
            "Unrecognized servable version label: stable",
        ),
        ("nomodel", None, 404, "Could not find any versions of model nomodel"),
        ("module/versions/9", None, 404, "Could not find version 9 of model module"),
        ("module:predict", "", 400, "JSON Parse error: The document is empty"),
        ("module:predict", "x", 400, "JSON Parse error: Invalid value. at offset: 0"),
        ("module:predict", "[]", 400, "JSON Value: [] Is not object"),
        ("module:predict", {}, 400, "Missing 'inputs' or 'instances' key"),
        (
            "module:predict",
            {"instances": 1},
            400,
            "JSON Value: {\n    \"instances\": 1\n} Excepting 'instances' to be an list/array",
        ),
        (
            "module:predict",
            {"instances": []},
            400,
            "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array",
        ),
        (
            "module:predict",
            {"signature_name": 1, "instances": [1]},
            400,
            'JSON Value: {\n    "signature_name": 1,\n    "instances": [\n        1\n    ]\n} '
            "not formatted correctly. "
            "'signature_name' key must be a string value.",
        ),
        (
            "module:predict",
            {"signature_name": "nosig", "instances": [1]},
            400,
            'Serving signature name: "nosig" not found in signature def',
        ),
        (
            "module:predict",
            {"instances": ["a"]},
            400,
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: "a" Type: String is not of expected type: float',
        ),
        (
            "half_plus_two:classify",
            {"signature_name": "classify_x_to_y"},
            400,
            'JSON Value: {\n    "signature_name": "classify_x_to_y"\n} '
            "When method is classify, key 'examples' is expected and was not found",
        ),
        (
            "module:predict",
            '{"instances": [1.0, -1e400]}',
            400,
            "JSON Parse error: Number too big to be stored in double. at offset: 20",
        ),
        (
            "module:predict",
            f'{{"instances": [1{"0" * 5000}]}}',
            400,
            "JSON Parse error: Number too big to be stored in double. at offset: 15",
        ),
        (
            "module:predict",
            {"signature_name": "add", "instances": [1.0]},
            400,
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map",
        ),
        (
            "module:predict",
            {"signature_name": "add", "inputs": {"a": [1.0]}},
            400,
            "Missing named input: b in 'inputs' object.",
        ),
        (
            "module:predict",
            {"signature_name": "fixed", "instances": [1.0]},
            400,
            "Tensor name: answer has no shape information ",
        ),
        (
            "half_plus_two:regress",
            {"signature_name": "regress_x_to_y", "examples": [1]},
            400,
            "Example must be JSON object but got JSON Number",
        ),
        ("nomodel/metadata", None, 404, "Servable not found for request: Latest(nomodel)"),
        ("module/labels/l/metadata", None, 400, "Unrecognized servable version label: l"),
        ("module", {}, 400, "Malformed request: POST /v1/models/module"),
        ("module:explain", {}, 400, "Malformed request: POST /v1/models/module:explain"),
        ("module/nonsense", None, 400, "Malformed request: GET /v1/models/module/nonsense"),
        (
            "module/versions/99999999999999999999",
            None,
            400,
            "Failed to convert version: 99999999999999999999 to numeric.",
        ),
    ],
)
def test_errors(server: Served, path: str, body: Any, status: int, message: str) -> None:
    answer = ask(server, path, body)
    assert (answer.status, answer.json) == (status, {"error": message})
    assert answer.text.startswith('{\n    "error": "')


def test_other_paths(server: Served) -> None:
    assert rest(f"{server.url}/").status == 404
    assert rest(f"{server.url}/v1/models").json == {"error": "Missing model name in request."}
    assert rest(f"{server.url}/v1/nonsense").status == 400


def test_the_method_is_not_case_sensitive(server: Served) -> None:
    assert rest(f"{server.url}/V1/Models/module:Predict", {"instances": [1.0]}).json == {"predictions": [2.5]}


def test_cors_behind_its_flag(server: Served, models: Any) -> None:
    assert "Access-Control-Allow-Origin" not in ask(server, "module").headers
    flags = (
        "--model_name=module",
        f"--model_base_path={models / 'module'}",
        "--rest_api_enable_cors_support",
    )
    with server_here(*flags) as other:
        headers = ask(other, "module").headers
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Access-Control-Allow-Methods"] == "POST, GET"
        assert headers["Access-Control-Allow-Headers"] == "Content-Type"
        assert ask(other, "module:predict", method="OPTIONS").status == 200


def test_rest_has_a_timeout(models: Any) -> None:
    flags = ("--model_name=module", f"--model_base_path={models / 'module'}", "--rest_api_timeout_in_ms=200")
    with server_here(*flags) as other:
        answer = ask(other, "module:predict", {"signature_name": "slow", "instances": [10_000_000]})
    assert (answer.status, answer.json) == (504, {"error": "Timed out waiting for notification"})
