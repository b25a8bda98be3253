"""What the client of the gateway sends and makes of answers, at the transport's seam."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
from support.gateway_answers import ANSWER, DARK

from sightline import errors
from sightline.contract import ModelRef
from sightline.http import AsyncGateway, Gateway
from sightline.http_exchange import BATCH_BYTES, BATCH_IMAGES, MAX_ATTEMPTS, ArrayFormat
from sightline.images import decode
from sightline.options import DetectOptions


class Script(httpx.BaseTransport):
    """Answers with what it was given, and remembers what was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def problem(error: errors.SightlineError, **headers: str) -> httpx.Response:
    return httpx.Response(error.http_status, json=error.problem(), headers=headers)


@pytest.mark.parametrize("cls", errors.every_error())
def test_every_problem_document_becomes_the_error_that_made_it(cls: type[errors.SightlineError]) -> None:
    script = Script(*(problem(cls("what was wrong")) for _ in range(MAX_ATTEMPTS)))
    with (
        Gateway("http://gateway", transport=script) as gateway,
        pytest.raises(cls, match="what was wrong") as told,
    ):
        gateway.detect(DARK)
    assert type(told.value) is cls
    assert len(script.asked) == (MAX_ATTEMPTS if cls("").retryable else 1)


@pytest.mark.parametrize(
    "lost", [httpx.ConnectError("refused"), httpx.RemoteProtocolError("closed"), httpx.ReadError("reset")]
)
def test_a_lost_connection_is_tried_again(lost: Exception) -> None:
    script = Script(lost, problem(errors.OverloadedError("busy")), httpx.Response(200, json=ANSWER))
    with Gateway("http://gateway", transport=script) as gateway:
        assert gateway.detect(DARK).id == "1"
    assert len(script.asked) == 3
    assert len({request.headers["X-Request-Id"] for request in script.asked}) == 1


@contextmanager
def dripping(at_once: bytes) -> Iterator[str]:
    """A server that answers `at_once`, and then a byte every twentieth of a second without an end."""
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.sendall(at_once)
            try:
                while not over.wait(0.05):
                    connection.sendall(b"a")
            except OSError:
                pass  # the client has left

    def serve(listener: socket.socket) -> None:
        try:
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
        except OSError:
            pass  # closed

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n"


@pytest.mark.parametrize("at_once", [HEAD, HEAD + b"\r\n"], ids=["headers", "body"])
def test_an_answer_that_trickles_in_is_given_up(at_once: bytes) -> None:
    async def awaited(url: str) -> None:
        gateway = AsyncGateway(url)
        try:
            await gateway.detect(DARK, timeout=0.3)
        finally:
            await gateway.close()

    with dripping(at_once) as url:
        for ask in (
            lambda: Gateway(url).detect(DARK, timeout=0.3),
            lambda: asyncio.run(awaited(url)),
        ):
            begun = time.monotonic()
            with pytest.raises(errors.DeadlineError):
                ask()
            assert 0.2 < time.monotonic() - begun < 2


def test_a_server_that_takes_a_request_in_drops_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def take() -> None:
            connection, _ = listener.accept()
            with connection:
                while not over.wait(0.05):
                    connection.recv(2**16)

        taker = threading.Thread(target=take)
        taker.start()
        begun = time.monotonic()
        with Gateway(f"http://127.0.0.1:{listener.getsockname()[1]}") as gateway:
            with pytest.raises(errors.DeadlineError):
                gateway.detect(b"x" * 2**26, timeout=0.3)
            assert time.monotonic() - begun < 2
        over.set()
        taker.join()


def test_no_attempt_is_made_past_the_deadline() -> None:
    busy = problem(errors.OverloadedError("busy"), **{"Retry-After": "3600"})
    script = Script(busy, httpx.Response(200, json=ANSWER))
    with (
        Gateway("http://gateway", transport=script) as gateway,
        pytest.raises(errors.OverloadedError) as told,
    ):
        gateway.detect(DARK, timeout=5)
    assert told.value.retry_after == 3600
    assert len(script.asked) == 1


def test_what_ran_out_of_time_is_not_sent_again() -> None:
    script = Script(httpx.ReadTimeout("slow"), httpx.Response(200, json=ANSWER))
    with Gateway("http://gateway", transport=script) as gateway, pytest.raises(errors.DeadlineError):
        gateway.detect(DARK)
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (502, errors.UnavailableError),
        (504, errors.DeadlineError),
        (413, errors.BodyTooLargeError),
        (400, errors.NotFoundError),
        (404, errors.NotFoundError),
        (405, errors.NotFoundError),
        (501, errors.NotFoundError),
        (403, errors.UnauthorizedError),
        (500, errors.ServingError),
        (418, errors.SightlineError),
    ],
)
def test_a_proxys_answer_becomes_an_error_by_its_status(
    status: int, error: type[errors.SightlineError]
) -> None:
    script = Script(*(httpx.Response(status, html="<h1>nginx</h1>") for _ in range(MAX_ATTEMPTS)))
    with Gateway("http://gateway", transport=script) as gateway, pytest.raises(error, match=str(status)):
        gateway.detect(DARK)


def test_what_is_no_gateway_is_said_to_be_none() -> None:
    refused = httpx.Response(400, json={"error": "Malformed request: POST /v1/detect"})
    with (
        Gateway("http://gateway", transport=Script(refused)) as gateway,
        pytest.raises(errors.NotFoundError, match="TensorFlow Serving's REST API; give the address of"),
    ):
        gateway.detect(DARK)
    page = httpx.Response(404, html="<h1>not here</h1>")
    with (
        Gateway("http://gateway", transport=Script(page)) as gateway,
        pytest.raises(errors.NotFoundError, match="is there a Sightline gateway at that address"),
    ):
        gateway.models()
    other = Script(httpx.RemoteProtocolError("illegal request line"))
    with (
        Gateway("http://gateway", transport=other) as gateway,
        pytest.raises(errors.ServingError, match="does not speak HTTP"),
    ):
        gateway.models()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, html="<h1>hello</h1>"),
        httpx.Response(200, json={"id": "1"}),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"results": []}),
    ],
)
def test_an_answer_that_is_none_is_a_serving_error(answer: httpx.Response) -> None:
    with Gateway("http://gateway", transport=Script(answer)) as gateway, pytest.raises(errors.ServingError):
        gateway.detect(DARK)


def test_lists_are_sent_as_batches_within_the_limits() -> None:
    sent: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        count = request.content.count(b'name="image"') or 1
        sent.append(count)
        return httpx.Response(200, json=ANSWER if count == 1 else {"results": [ANSWER] * count})

    with Gateway("http://gateway", transport=httpx.MockTransport(answer)) as gateway:
        gateway.detect_many([DARK] * (2 * BATCH_IMAGES + 1))
        assert sent == [BATCH_IMAGES, BATCH_IMAGES, 1]
        sent.clear()
        gateway.detect_many([DARK, b"x" * BATCH_BYTES, DARK, DARK])
        assert sent == [1, 1, 2]


def test_the_address_names_the_model_and_the_headers_carry_the_key() -> None:
    script = Script(*(httpx.Response(200, json=ANSWER) for _ in range(3)))
    refs = [None, ModelRef("a b", 3), ModelRef("m", label="stable")]
    with Gateway("http://gateway/base/", api_key="secret", transport=script) as gateway:
        for ref in refs:
            gateway.detect(DARK, model=ref)
    assert [request.url.raw_path for request in script.asked] == [
        b"/base/v1/detect",
        b"/base/v1/models/a%20b/versions/3:detect",
        b"/base/v1/models/m/labels/stable:detect",
    ]
    assert {request.headers["Authorization"] for request in script.asked} == {"Bearer secret"}
    assert script.asked[0].headers["Content-Type"] == "image/jpeg"


@pytest.mark.parametrize(("arrays_as", "start"), [("png", b"\x89PNG"), ("jpeg", b"\xff\xd8\xff")])
def test_arrays_travel_as_asked(arrays_as: ArrayFormat, start: bytes) -> None:
    script = Script(httpx.Response(200, json=ANSWER))
    with Gateway("http://gateway", arrays_as=arrays_as, transport=script) as gateway:
        gateway.detect(np.full((300, 200, 3), (230, 200, 180), np.uint8))
    assert script.asked[0].content.startswith(start)
    assert decode(script.asked[0].content).pixels[0, 0].tolist() == pytest.approx([230, 200, 180], abs=3)


def test_a_label_with_a_comma_cannot_be_said() -> None:
    with Gateway("http://gateway", transport=Script()) as gateway, pytest.raises(errors.InvalidOptionError):
        gateway.detect(DARK, DetectOptions(classes={"a,b"}))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:8080", "begins with http:// or https://"),
        ("http://", "names no host"),
        ("http://a host", "holds a space"),
        ("http://host:port", "cannot be read: Invalid port"),
        ("http://host:99999", "ports are 1 to 65535"),
        ("http://a..b", "cannot be read"),
        ("http://host/?model=droids", "give it without"),
    ],
)
def test_an_address_of_another_kind_is_refused(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Gateway(url)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ALL_PROXY", "nothing://host", "the proxy that the environment names cannot be used"),
        ("SSL_CERT_FILE", "/gone.pem", "the certificates that SSL_CERT_FILE names cannot be read"),
    ],
)
def test_an_environment_that_no_client_can_be_made_in_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    for kind in (Gateway, AsyncGateway):
        with pytest.raises(errors.InvalidOptionError, match=says):
            kind("http://gateway")


@pytest.mark.parametrize("name", ["clé", "two\nlines"])
def test_a_name_of_a_request_that_no_header_carries_is_refused(name: str) -> None:
    with Gateway("http://gateway", transport=Script()) as gateway, pytest.raises(errors.InvalidOptionError):
        gateway.detect(DARK, request_id=name)


@pytest.mark.parametrize("key", ["", "clé", "secret\n", "two words"])
def test_a_key_that_no_header_carries_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="an API key is") as told:
        Gateway("http://gateway", api_key=key)
    assert not key or key not in str(told.value)
