"""Every error is a problem document with the right status, and says what would be right."""

from __future__ import annotations

import io
import struct
from typing import Any

import grpc
import pytest
from flask.testing import FlaskClient
from support.fake_serving import FakeServing, FakeVersion, Refusal
from support.pictures import jpeg

from sightline.errors import every_error
from sightline_serving.gateway.app import create_app
from sightline_serving.gateway.settings import Settings

PICTURE = jpeg()
TYPE = "application/problem+json"


def problem(response: Any, status: int, code: str) -> Any:
    assert (response.status_code, response.content_type) == (status, TYPE), response.text
    plain = response.get_json()
    assert (plain["status"], plain["code"]) == (status, code)
    assert plain["request_id"] == response.headers["X-Request-ID"]
    assert plain["title"]
    assert plain["type"].endswith(code)
    return plain


BODIES: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "empty": ({"data": b""}, 400, "no_image", "multipart form"),
    "form without a file": (
        {"data": {"a": "b"}, "content_type": "multipart/form-data"}, 400, "no_image", "`image`",
    ),
    "file of another name": (
        {"data": {"file": (io.BytesIO(PICTURE), "x")}, "content_type": "multipart/form-data"},
        400, "no_image", "file",
    ),
    "empty JSON": ({"json": {}}, 400, "no_image", "base64"),
    "JSON with both": ({"json": {"image": "", "images": []}}, 400, "no_image", "either"),
    "empty list": ({"json": {"images": []}}, 400, "no_image", "no image"),
    "JSON that is none": ({"data": b"{", "content_type": "application/json"}, 400, "no_image", "JSON"),
    "JSON of another kind": ({"json": [1]}, 400, "no_image", "object"),
    "no base64": ({"json": {"image": "!!"}}, 400, "no_image", "base64"),
    "a number for base64": ({"json": {"images": [1]}}, 400, "no_image", "images[0]"),
    "a text": ({"data": b"R2-D2", "content_type": "image/jpeg"}, 415, "not_an_image", "JPEG, PNG"),
    "a web page": ({"data": b"<html>", "content_type": "text/html"}, 415, "unsupported_media", "text/html"),
    "cut short": ({"data": PICTURE[: len(PICTURE) // 2]}, 422, "truncated_image", "end mark"),
    "header only": ({"data": PICTURE[:10]}, 422, "truncated_image", "header"),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_holds_no_good_picture(client: FlaskClient, serving: FakeServing, name: str) -> None:
    body, status, code, words = BODIES[name]
    assert words in problem(client.post("/v1/detect", **body), status, code)["detail"]
    assert serving.predicts == 0


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("threshold=2", "0 to 1"),
        ("threshold=high", "number"),
        ("threshold=nan", "nan"),
        ("max_detections=0", "at least 1"),
        ("max_detections=2.5", "whole number"),
        ("max_detections=1_0", "whole number"),
        ("max_detections=" + "9" * 5000, "whole number"),
        ("max_detections=9999999999", "at most"),
        ("threshold=%FF", "number"),
        ("threshold=1_0", "number"),
        ("threshold=", "number"),
        ("classes=,", "no label"),
        ("classes=nobody", "no class 'nobody'"),
        ("format=xml", "json, coco, voc, tfod"),
        ("treshold=0.5", "threshold"),
    ],
)
def test_an_option_that_is_wrong_is_named(client: FlaskClient, query: str, words: str) -> None:
    response = client.post(f"/v1/detect?{query}", data=PICTURE)
    assert words in problem(response, 400, "invalid_option")["detail"]


def test_a_body_that_is_too_large(serving: FakeServing, make_client: Any) -> None:
    client = make_client(serving.target, max_body=2000)
    plain = problem(client.post("/v1/detect", data=bytes(2001)), 413, "body_too_large")
    assert "2000 bytes" in plain["detail"]
    form = {"image": (io.BytesIO(bytes(3000)), "x.jpg")}
    problem(client.post("/v1/detect", data=form, content_type="multipart/form-data"), 413, "body_too_large")


def test_too_many_pixels_are_told_from_the_header_alone(client: FlaskClient, serving: FakeServing) -> None:
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5x", 13, b"IHDR", 60_000, 60_000) + b"IEND"
    plain = problem(client.post("/v1/detect", data=header), 413, "too_many_pixels")
    assert "60000 x 60000" in plain["detail"]


def test_too_many_pictures(serving: FakeServing, make_client: Any) -> None:
    client = make_client(serving.target, max_images=1)
    form = {"image": [(io.BytesIO(PICTURE), "1"), (io.BytesIO(PICTURE), "2")]}
    response = client.post("/v1/detect", data=form, content_type="multipart/form-data")
    assert "limit is 1" in problem(response, 400, "invalid_option")["detail"]


@pytest.mark.parametrize(
    "address",
    [
        "/v1/models/nobody:detect",
        "/v1/models/droids/versions/9:detect",
        "/v1/models/droids/labels/x:detect",
        f"/v1/models/droids/versions/{2**63 - 1}:detect",
        "/v1/models/%FF%FE:detect",
        "/v1/models/%C3%A9:detect",
        "/v1/models/%0D%0AX:detect",
        "/v1/models/" + "a" * 20_000 + ":detect",
        "/v1/models/droids/labels/" + "a" * 20_000 + ":detect",
    ],
)
def test_an_unknown_model_version_or_label(client: FlaskClient, address: str) -> None:
    problem(client.post(address, data=PICTURE), 404, "model_not_found")


def test_serving_is_down(make_client: Any) -> None:
    client = make_client("127.0.0.1:1", timeout=3)
    response = client.post("/v1/detect", data=PICTURE)
    problem(response, 503, "serving_unavailable")
    assert response.headers["Retry-After"] == "1"
    assert client.get("/healthz").status_code == 200
    problem(client.get("/readyz"), 503, "serving_unavailable")
    problem(client.get("/v1/models"), 503, "serving_unavailable")


def test_serving_is_slow(serving: FakeServing, make_client: Any) -> None:
    client = make_client(serving.target, timeout=0.3)
    assert client.post("/v1/detect", data=PICTURE).status_code == 200
    serving.behaviour.delay = 5
    problem(client.post("/v1/detect", data=PICTURE), 504, "serving_timeout")
    assert serving.deadlines[-1] < 1, "the deadline went along"


def test_serving_is_exhausted_for_a_moment_or_for_good(serving: FakeServing, make_client: Any) -> None:
    client = make_client(serving.target)
    client.post("/v1/detect", data=PICTURE)
    serving.behaviour.refusals = 2
    assert client.post("/v1/detect", data=PICTURE).status_code == 200
    serving.behaviour.refusal = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
    response = client.post("/v1/detect", data=PICTURE)
    problem(response, 503, "serving_exhausted")
    assert response.headers["Retry-After"] == "1"


def test_a_model_that_is_not_understood_names_what_was_found(
    serving: FakeServing, client: FlaskClient
) -> None:
    serving.models["text"] = {
        1: FakeVersion(signatures={"serving_default": ({"words": (7, (-1,))}, ("mood",))})
    }
    plain = problem(client.post("/v1/models/text:detect", data=PICTURE), 502, "signature")
    assert "words: string" in plain["detail"]


@pytest.mark.parametrize(
    "address",
    [
        "/nix",
        "/v1/",
        "/v1/models//x",
        "/v1/models/droids/versions/x:detect",
        f"/v1/models/droids/versions/{2**63}",
        f"/v1/models/droids/versions/{'9' * 5000}",
        "/v1/models/droids/versions/-1",
        "/v1/models/a%2Fb/card/x",
    ],
)
def test_nothing_there(client: FlaskClient, address: str) -> None:
    problem(client.get(address), 404, "not_found")


def test_the_wrong_method(client: FlaskClient) -> None:
    response = client.get("/v1/detect")
    assert "POST" in problem(response, 405, "method_not_allowed")["detail"]
    assert "POST" in response.headers["Allow"]


def test_a_fault_of_ours_tells_the_caller_no_inside(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def detect_many(self, *args: object, **options: object) -> Any:
            raise ZeroDivisionError("secret 42")

    client = create_app(Settings(model="droids"), Broken()).test_client()  # type: ignore[arg-type]
    plain = problem(client.post("/v1/detect", data=PICTURE), 500, "internal")
    assert "secret" not in str(plain)
    assert "secret 42" in caplog.text


@pytest.mark.parametrize("error", every_error())
def test_each_error_of_the_tree_is_answered_with_its_own_status(error: Any) -> None:
    class Failing:
        def detect_many(self, *args: object, **options: object) -> Any:
            raise error("what was wrong")

    client = create_app(Settings(model="droids"), Failing()).test_client()  # type: ignore[arg-type]
    response = client.post("/v1/detect", data=PICTURE)
    problem(response, error.http_status, error.code)
    assert ("Retry-After" in response.headers) == (error("x").retry_after is not None)
