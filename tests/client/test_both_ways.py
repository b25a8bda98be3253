"""The same answers and errors whichever way is asked: the gateway over HTTP, Serving over gRPC."""

from __future__ import annotations

import asyncio
import io
import math
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import PIL.Image
import pytest
from support.fake_serving import FakeServing, fake_serving
from support.running_gateway import running_gateway

from sightline import errors
from sightline.async_serving import AsyncServing
from sightline.contract import ModelRef
from sightline.detections import Result
from sightline.detector import Serving
from sightline.http import AsyncGateway, Gateway
from sightline.http_exchange import BATCH_IMAGES
from sightline.images import encode_jpeg, encode_png
from sightline.interface import AsyncDetector, Detector
from sightline.options import DetectOptions
from sightline.tf_serving import ServingStub

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
    with pytest.raises(
        errors.NoImageError, match=r"^https://example.com/photo.jpg is an address, not a file"
    ):
        detector.detect("https://example.com/photo.jpg")
    with pytest.raises(errors.NoImageError, match="the name of no file"):
        detector.detect("photo\0.jpg")
    with pytest.raises(errors.NoImageError, match="closed file"):
        detector.detect(file)  # type: ignore[arg-type]


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
    for none in ("droids@9", ""):
        with pytest.raises(ValueError, match="write NAME"):
            detector.detect(BRIGHT, model=none)


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


def test_both_ways_take_a_time_limit_without_an_end(detector: Detector) -> None:
    assert detector.detect(DARK, timeout=math.inf).detections


def test_both_ways_refuse_one_picture_in_place_of_a_list(detector: Detector, tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(DARK)
    one: Any
    for one in (str(tmp_path / "one.jpg"), tmp_path / "one.jpg", DARK, PIXELS, io.BytesIO(DARK), 1):
        with pytest.raises(errors.InputError, match="takes a list of pictures, not a"):
            detector.detect_many(one)
    anything: Any = (picture for picture in (DARK, BRIGHT))
    assert [type(outcome) for outcome in detector.detect_many(anything)] == [Result, Result]


def test_both_ways_say_that_they_are_closed(url: str, server: FakeServing) -> None:
    async def awaited(way: AsyncDetector) -> None:
        await way.detect(DARK)
        await way.close()
        await way.close()
        with pytest.raises(errors.SightlineError, match="was closed"):
            await way.detect(DARK)

    for way in (Gateway(url), Serving(server.target, model="droids")):
        way.detect(DARK)
        way.close()
        way.close()
        for ask in (lambda way=way: way.detect(DARK), way.models, way.card):
            with pytest.raises(errors.SightlineError, match="was closed"):
                ask()
    asyncio.run(awaited(AsyncGateway(url)))
    asyncio.run(awaited(AsyncServing(server.target, model="droids")))


def test_a_copy_for_another_process_has_connections_of_its_own(url: str, server: FakeServing) -> None:
    ways = (Gateway(url, timeout=5, api_key="a-key"), Serving(server.target, model="droids", timeout=5))
    for way in ways:
        with way, pickle.loads(pickle.dumps(way)) as copy:
            wanted = way.detect(BRIGHT).detections
            way.close()
            assert copy.detect(BRIGHT).detections == wanted

    async def awaited(way: AsyncDetector) -> None:
        async with way, pickle.loads(pickle.dumps(way)) as copy:
            wanted = (await way.detect(BRIGHT)).detections
            await way.close()
            assert (await copy.detect(BRIGHT)).detections == wanted

    asyncio.run(awaited(AsyncGateway(url, model="droids")))
    asyncio.run(awaited(AsyncServing(server.target, model="droids", labels={1: "one"})))


def test_what_another_process_cannot_have_is_named() -> None:
    carried = Gateway("http://gateway", transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    with carried, pytest.raises(TypeError, match="a Gateway with transport of its own cannot be copied"):
        pickle.dumps(carried)
    sealed = ServingStub("127.0.0.1:1", credentials=grpc.ssl_channel_credentials())
    with Serving(sealed, model="droids") as serving, pytest.raises(TypeError, match="credentials of its own"):
        pickle.dumps(serving)


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


def test_threads_share_one_gateway(url: str) -> None:
    results: list[Result] = []
    with Gateway(url, timeout=10) as gateway:
        threads = [threading.Thread(target=lambda: results.append(gateway.detect(BRIGHT))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=20)
    assert len(results) == 8
