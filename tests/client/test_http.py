from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import PIL.Image
import pytest
from support.fake_serving import FakeServing, fake_serving
from support.running_gateway import running_gateway

from sightline import errors
from sightline.contract import ModelRef
from sightline.detections import Result
from sightline.detector import Serving
from sightline.http import AsyncGateway, Gateway
from sightline.http_exchange import BATCH_BYTES, BATCH_IMAGES, MAX_ATTEMPTS, ArrayFormat
from sightline.images import decode, encode_jpeg, encode_png
from sightline.interface import AsyncDetector, Detector
from sightline.options import DetectOptions

PIXELS = np.full((300, 200, 3), (230, 200, 180), np.uint8)
BRIGHT = encode_jpeg(PIXELS)
DARK = encode_jpeg(np.full((90, 120, 3), 20, np.uint8))


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServing]:
    with fake_serving() as running:
        yield running


@pytest.fixture(scope="module")
def url(server: FakeServing) -> Iterator[str]:
    with running_gateway(server.target) as address:
        yield address


@pytest.fixture(params=["http", "grpc"])
def detector(request: pytest.FixtureRequest, url: str, server: FakeServing) -> Iterator[Detector]:
    """Both ways, behind the one interface."""
    way: Gateway | Serving = (
        Gateway(url, timeout=5)
        if request.param == "http"
        else Serving(server.target, model="droids", timeout=5)
    )
    with way:
        yield way


def test_both_ways_give_one_result(detector: Detector) -> None:
    result = detector.detect(BRIGHT, request_id="abc")
    assert (result.id, result.model.name, result.model.version) == ("abc", "droids", 1)
    assert (result.image.width, result.image.height) == (200, 300)
    assert [(found.label, found.score) for found in result.detections] == [("R2-D2", 0.9), ("BB-8", 0.6)]
    assert result.detections[0].box.xmin == 40
    assert result.timing_ms["predict"] > 0


def test_both_ways_take_every_kind_of_picture(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encode_png(PIXELS))
    with path.open("rb") as file:
        kinds = [path, str(path), path.read_bytes(), PIXELS, PIL.Image.fromarray(PIXELS), file]
        results = [detector.detect(kind) for kind in kinds]
    assert {result.image.height for result in results} == {300}
    assert all(result.detections == results[0].detections for result in results)
    assert detector.detect(np.full((40, 50), 250, np.uint8)).image.width == 50


def test_both_ways_say_what_is_wrong_with_what_was_handed_over(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(BRIGHT)
    with path.open() as file, pytest.raises(errors.NotAnImageError, match='open it with "rb"'):
        detector.detect(file)  # type: ignore[arg-type]
    with pytest.raises(errors.NoImageError, match="an address, not a file"):
        detector.detect("https://example.com/photo.jpg")


def test_both_ways_turn_a_pil_picture_upright(detector: Detector) -> None:
    image = PIL.Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    stream = io.BytesIO()
    image.save(stream, "JPEG", exif=exif)
    stream.seek(0)
    assert detector.detect(PIL.Image.open(stream)).image.width == 300


def test_both_ways_keep_the_order_of_a_list_and_its_bad_pictures(detector: Detector) -> None:
    pictures = [
        BRIGHT,
        b"not a picture",
        DARK,
        "/nowhere/photo.jpg",
        np.zeros((2, 2), np.float32),
        BRIGHT,
    ] * 3
    outcomes = detector.detect_many(pictures)
    kinds = [len(o.detections) if isinstance(o, Result) else type(o).__name__ for o in outcomes]
    assert kinds == [2, "NotAnImageError", 1, "NoImageError", "NotAnImageError", 2] * 3
    assert detector.detect_many([]) == []


@pytest.mark.parametrize("bad", [b"not a picture", b"", BRIGHT[:200]])
def test_both_ways_keep_a_bad_picture_that_goes_alone_in_its_place(detector: Detector, bad: bytes) -> None:
    assert [type(o) for o in detector.detect_many([*[DARK] * BATCH_IMAGES, bad])[:-1]] == [
        Result
    ] * BATCH_IMAGES
    (outcome,) = detector.detect_many([bad])
    assert isinstance(outcome, errors.InputError)


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda way: way.detect(b"no picture"), errors.NotAnImageError),
        (lambda way: way.detect(BRIGHT[:200]), errors.TruncatedImageError),
        (lambda way: way.detect(b""), errors.NoImageError),
        (lambda way: way.detect("/nowhere/photo.jpg"), errors.NoImageError),
        (lambda way: way.detect(BRIGHT, model=ModelRef("nomodel")), errors.ModelNotFoundError),
        (lambda way: way.detect(BRIGHT, model=ModelRef("droids", 99)), errors.ModelNotFoundError),
        (lambda way: way.detect(BRIGHT, model=ModelRef("droids", label="x")), errors.ModelNotFoundError),
    ],
)
def test_both_ways_raise_the_same_error(
    detector: Detector, ask: Callable[[Detector], Result], error: type[errors.SightlineError]
) -> None:
    with pytest.raises(error):
        ask(detector)


def test_both_ways_obey_the_options(detector: Detector) -> None:
    options = DetectOptions(threshold=0.1, max_detections=1, classes={"BB-8"})
    assert [found.label for found in detector.detect(BRIGHT, options).detections] == ["BB-8"]


def test_both_ways_refuse_a_class_that_the_model_does_not_have(detector: Detector) -> None:
    with pytest.raises(errors.InvalidOptionError, match="no class 'r2d2'; it has BB-8, R2-D2"):
        detector.detect(BRIGHT, DetectOptions(classes=["r2d2", "BB-8"]))
    with pytest.raises(errors.InvalidOptionError, match="list of labels"):
        DetectOptions(classes="BB-8")


def test_both_ways_take_a_model_as_text(detector: Detector) -> None:
    assert detector.detect(BRIGHT, model="droids/versions/1").model.version == 1
    with pytest.raises(errors.ModelNotFoundError):
        detector.detect(BRIGHT, model="droids/versions/9")
    with pytest.raises(ValueError, match="write NAME"):
        detector.detect(BRIGHT, model="droids@9")


def test_a_server_that_is_down_is_told_in_the_same_way() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        Gateway(f"http://127.0.0.1:{port}") as gateway,
        pytest.raises(errors.UnavailableError, match=str(port)),
    ):
        gateway.detect(DARK)
    either = pytest.raises((errors.UnavailableError, errors.DeadlineError))
    with Serving(f"127.0.0.1:{port}", model="m", timeout=1) as serving, either:
        serving.detect(DARK)


def test_a_slow_server_is_told_in_the_same_way(detector: Detector, server: FakeServing) -> None:
    detector.detect(DARK)
    server.behaviour.delay = 5
    try:
        with pytest.raises(errors.DeadlineError):
            detector.detect(DARK, timeout=0.2)
    finally:
        server.behaviour.delay = 0


def test_awaited_it_gives_the_same(url: str) -> None:
    async def ask() -> list[Result]:
        gateway: AsyncDetector = AsyncGateway(url, timeout=5)
        try:
            return await asyncio.gather(*(gateway.detect(picture) for picture in [BRIGHT, DARK] * 4))
        finally:
            await gateway.close()

    with Gateway(url) as gateway:
        wanted = [gateway.detect(picture).detections for picture in [BRIGHT, DARK] * 4]
    assert [result.detections for result in asyncio.run(ask())] == wanted


# --- what crosses the wire, at the transport's seam -----------------------------------------------

ANSWER = {
    "id": "1",
    "model": {"name": "droids", "version": 1},
    "image": {"width": 2, "height": 2},
    "detections": [],
}


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
        (404, errors.NotFoundError),
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
        gateway.detect(PIXELS)
    assert script.asked[0].content.startswith(start)
    assert decode(script.asked[0].content).pixels[0, 0].tolist() == pytest.approx([230, 200, 180], abs=3)


def test_a_label_with_a_comma_cannot_be_said() -> None:
    with Gateway("http://gateway", transport=Script()) as gateway, pytest.raises(errors.InvalidOptionError):
        gateway.detect(DARK, DetectOptions(classes={"a,b"}))


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="http://"):
        Gateway("localhost:8080")


def test_connections_are_kept_alive() -> None:
    """Against a server that counts the connections it accepts."""
    body = json.dumps(ANSWER).encode()
    reply = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    accepted = []

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            accepted.append(peer)
            threading.Thread(target=talk, args=(peer,), daemon=True).start()

    def talk(peer: socket.socket) -> None:
        with peer:
            seen = b""
            while part := peer.recv(65536):
                seen += part
                if seen.endswith(DARK):
                    peer.sendall(reply)
                    seen = b""

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        with Gateway(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=5) as gateway:
            for _ in range(5):
                gateway.detect(DARK)
        listener.shutdown(socket.SHUT_RDWR)
    assert len(accepted) == 1


def test_threads_share_one_gateway(url: str) -> None:
    results: list[Result] = []
    with Gateway(url, timeout=10) as gateway:
        threads = [threading.Thread(target=lambda: results.append(gateway.detect(BRIGHT))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=20)
    assert len(results) == 8
