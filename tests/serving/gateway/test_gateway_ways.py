"""The short way through Flask and the whole one: the same answers, the same rules."""

from __future__ import annotations

import gc
import io
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import request_started
from flask.testing import FlaskClient
from support.fake_serving import FakeServing
from support.pictures import jpeg
from werkzeug.test import TestResponse, create_environ

from sightline.detector import Serving

PICTURE = jpeg()
KEY = "first-key-0123456789"
ORIGIN = "https://ours.example"  # whose extension of Flask's has every request go the whole way
VARYING = {"X-Request-ID", "Server-Timing", "Content-Length", "Vary"}
Ask = Callable[[FlaskClient], TestResponse]
MakeClient = Callable[..., FlaskClient]


@contextmanager
def started(client: FlaskClient) -> Iterator[list[None]]:
    """A list that grows with each request that goes the whole way through Flask."""
    seen: list[None] = []

    def note(*_: Any, **__: Any) -> None:
        seen.append(None)

    with request_started.connected_to(note, client.application):
        yield seen


def form(client: FlaskClient, path: str, **fields: Any) -> TestResponse:
    return client.post(path, data={"image": (io.BytesIO(PICTURE), "a.jpg"), **fields}, headers=key())


def key() -> Mapping[str, str]:
    return {"X-API-Key": KEY}


ASKED: Mapping[str, Ask] = {
    "raw": lambda client: client.post("/v1/detect", data=PICTURE, headers=key()),
    "named": lambda client: client.post("/v1/models/droids/versions/1:detect", data=PICTURE, headers=key()),
    "options": lambda client: client.post("/v1/detect?format=voc", data=PICTURE, headers=key()),
    "drawn": lambda client: client.post("/v1/detect", data=PICTURE, headers={**key(), "Accept": "image/png"}),
    "form": lambda client: form(client, "/v1/detect", threshold="0.1"),
    "deepstack": lambda client: form(client, "/v1/vision/detection"),
    "detectors": lambda client: client.get("/detectors", headers=key()),
    "no picture": lambda client: client.post("/v1/detect", data=b"text", headers=key()),
    "wrong option": lambda client: client.post("/v1/detect?threshold=x", data=PICTURE, headers=key()),
    "no such model": lambda client: client.post("/v1/models/none:detect", data=PICTURE, headers=key()),
    "too large": lambda client: client.post("/v1/detect", data=b"x" * 300_000, headers=key()),
    "too many parts": lambda client: form(client, "/v1/detect", **{f"f{i}": "" for i in range(1001)}),
    "no key": lambda client: client.post("/v1/detect", data=PICTURE),
    "no key, deepstack": lambda client: client.post("/v1/vision/detection", data={}),
    "a fault of ours": lambda client: client.post("/v1/models/fault:detect", data=PICTURE, headers=key()),
    "wrong method": lambda client: client.get("/v1/detect", headers=key()),
    "head": lambda client: client.head("/detectors", headers=key()),
    "options of an address": lambda client: client.options("/v1/detect"),
    "no such address": lambda client: client.post("/v1/detekt", data=PICTURE, headers=key()),
}


class Breaking(Serving):
    """Fails on one model as no model does."""

    def detect_many(self, *given: Any, **options: Any) -> Any:
        if options["model"].name == "fault":
            raise ZeroDivisionError
        return super().detect_many(*given, **options)


@pytest.fixture
def clients(
    serving: FakeServing, make_client: MakeClient, tmp_path: Path
) -> Iterator[tuple[FlaskClient, FlaskClient]]:
    """One that goes the short way where it can, and one that never does."""
    keys = tmp_path / "keys"
    keys.write_text(f"kitchen: {KEY}\n")
    settings: dict[str, Any] = {"api_keys": keys, "max_body": 200_000}
    with Breaking(serving.target, model="droids") as detector:
        yield (
            make_client(serving.target, detector, **settings),
            make_client(serving.target, detector, **settings, cors_origins=(ORIGIN,)),
        )


@pytest.mark.parametrize("name", ASKED)
def test_both_ways_answer_alike(clients: tuple[FlaskClient, FlaskClient], name: str) -> None:
    short, whole = (ASKED[name](client) for client in clients)
    assert short.status_code == whole.status_code
    assert plain(short) == plain(whole)
    assert described(short) == described(whole)
    assert short.headers["X-Request-ID"] and whole.headers["X-Request-ID"]


def plain(answer: TestResponse) -> Any:
    """The body without what no two answers share."""
    if not answer.is_json and "problem+json" not in answer.content_type:
        return answer.data
    body = answer.get_json(force=True, silent=True)
    if isinstance(body, dict):
        for name in ("id", "request_id", "timing_ms", "duration"):
            body.pop(name, None)
    return body


def described(answer: TestResponse) -> dict[str, str]:
    return {
        name: value
        for name, value in answer.headers.items()
        if name not in VARYING and not name.startswith("Access-Control-")
    }


@pytest.mark.parametrize("name", ["raw", "named", "form", "deepstack", "no picture", "no key"])
def test_what_needs_the_request_alone_goes_the_short_way(
    clients: tuple[FlaskClient, FlaskClient], name: str
) -> None:
    short, whole = clients
    with started(short) as of_short, started(whole) as of_whole:
        for client in clients:
            ASKED[name](client)
    assert (len(of_short), len(of_whole)) == (0, 1)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Python's collector of cycles rests: it counts objects, not their bytes, so it may come late."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    ("address", "content", "status"),
    [
        ("/v1/detect", PICTURE, 200),
        ("/v1/detect", b"text", 415),
        ("/v1/detect?threshold=x", PICTURE, 400),
        ("/v1/models/none:detect", PICTURE, 404),
    ],
)
def test_a_body_is_gone_with_its_answer(
    clients: tuple[FlaskClient, FlaskClient], address: str, content: bytes, status: int
) -> None:
    for client in clients:
        body = io.BytesIO(content)
        kept, seen = weakref.ref(body), []
        environ = create_environ(address, method="POST", input_stream=body, headers=key())
        answer = client.application(environ, lambda told, *_, seen=seen: seen.append(int(told[:3])))
        assert b"".join(answer)
        del body, environ, answer
        assert seen == [status]
        assert kept() is None


def test_an_extension_sees_what_it_must(clients: tuple[FlaskClient, FlaskClient]) -> None:
    answer = clients[1].post("/v1/detect", data=PICTURE, headers={**key(), "Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
