from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from support.fake_serving import Arrays, FakeServing, Refusal, droids, fake_serving

from sightline.async_serving import AsyncServing
from sightline.contract import ModelRef
from sightline.detections import Result
from sightline.detector import Serving
from sightline.errors import ExhaustedError, InputError, ModelNotFoundError
from sightline.images import encode_jpeg
from sightline.interface import AsyncDetector

BRIGHT = encode_jpeg(np.full((300, 200, 3), 230, np.uint8))


@pytest.fixture
def server() -> Iterator[FakeServing]:
    with fake_serving() as running:
        yield running


def test_awaited_it_gives_the_same_while_the_loop_goes_on(server: FakeServing) -> None:
    server.behaviour.delay = 0.1
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    async def ask() -> tuple[list[Result], list[Result | InputError]]:
        async with AsyncServing(server.target, model="droids", timeout=10) as serving:
            way: AsyncDetector = serving
            ticking = asyncio.create_task(tick())
            one = await asyncio.gather(*(way.detect(BRIGHT) for _ in range(6)))
            many = await way.detect_many([BRIGHT, b"none"])
            ticking.cancel()
            return one, many

    one, many = asyncio.run(ask())
    with Serving(server.target, model="droids", timeout=10) as serving:
        wanted = serving.detect(BRIGHT).detections
    assert all(result.detections == wanted for result in one)
    assert [type(outcome).__name__ for outcome in many] == ["Result", "NotAnImageError"]
    assert ticks > 10


def test_a_server_that_takes_fewer_at_once_is_given_fewer(server: FakeServing) -> None:
    busy = threading.Semaphore(2)

    def answer(inputs: Arrays) -> Arrays:
        if not busy.acquire(blocking=False):
            raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
        try:
            time.sleep(0.1)
            return droids(inputs)
        finally:
            busy.release()

    async def ask() -> list[Result | BaseException]:
        async with AsyncServing(server.target, model="droids", timeout=20) as serving:
            await serving.detect(BRIGHT)
            asked = (serving.detect(BRIGHT) for _ in range(40))
            return await asyncio.gather(*asked, return_exceptions=True)

    server.models["droids"][1] = replace(server.models["droids"][1], answer=answer)
    assert [type(outcome) for outcome in asyncio.run(ask())] == [Result] * 40


def test_a_server_that_is_too_busy_for_one_is_an_error(server: FakeServing) -> None:
    async def ask() -> None:
        async with AsyncServing(server.target, model="droids") as serving:
            server.behaviour.refusal = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue is full")
            outcomes = await asyncio.gather(
                *(serving.detect(BRIGHT) for _ in range(3)), return_exceptions=True
            )
            assert {type(outcome) for outcome in outcomes} == {ExhaustedError}

    asyncio.run(ask())


def test_calls_that_wait_for_their_turn_end_before_it_is_closed(server: FakeServing) -> None:
    server.behaviour.delay = 0.05

    async def ask() -> list[Result]:
        async with AsyncServing(server.target, model="droids", threads=2) as serving:
            tasks = [asyncio.create_task(serving.detect(BRIGHT)) for _ in range(6)]
            await asyncio.sleep(0.02)
            tasks.pop().cancel()
        return await asyncio.gather(*tasks)

    assert len(asyncio.run(ask())) == 5


FORKING = """
import asyncio, multiprocessing, sys
from sightline import AsyncServing

def ask(serving):
    async def asked():
        return await asyncio.gather(*(serving.detect(sys.argv[2]) for _ in range(8)))
    assert [len(result.detections) for result in asyncio.run(asked())] == [2] * 8

serving = AsyncServing(sys.argv[1], model="droids", timeout=10)
ask(serving)
forked = multiprocessing.get_context("fork").Process(target=ask, args=(serving,), daemon=True)
forked.start()
forked.join(30)
assert forked.exitcode == 0, forked.exitcode
ask(serving)
asyncio.run(serving.close())
"""


def test_a_forked_process_has_threads_of_its_own(server: FakeServing, tmp_path: Path) -> None:
    """In a process of its own, as a gRPC server, such as the one of this test, must not be forked."""
    picture = tmp_path / "bright.jpg"
    picture.write_bytes(BRIGHT)
    command = [sys.executable, "-c", FORKING, server.target, str(picture)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr


def test_models_card_and_errors_are_those_of_serving(server: FakeServing) -> None:
    async def ask() -> None:
        async with AsyncServing(server.target, model="droids", timeout=5) as serving:
            assert [model.versions[0].available for model in await serving.models()] == [True]
            card = await serving.card()
            assert card is not None and card.labels[2] == "R2-D2"
            with pytest.raises(ModelNotFoundError):
                await serving.detect(BRIGHT, model=ModelRef("nomodel"))

    asyncio.run(ask())


def test_the_addresses_behind_one_name_share_the_requests() -> None:
    """As behind a headless Kubernetes name, requests go round robin over all addresses."""
    with fake_serving() as one, fake_serving() as other:
        target = f"ipv4:127.0.0.1:{one.port},127.0.0.1:{other.port}"
        with Serving(target, model="droids", timeout=10) as serving:
            for _ in range(20):
                serving.detect(BRIGHT)
        assert one.predicts >= 8 and other.predicts >= 8
        other.stop()
        before = one.predicts
        with Serving(target, model="droids", timeout=10) as serving:
            for _ in range(6):
                serving.detect(BRIGHT)
        assert one.predicts >= before + 6


def test_a_dns_name_is_resolved_by_grpc(server: FakeServing) -> None:
    with Serving(f"dns:///localhost:{server.port}", model="droids", timeout=10) as serving:
        assert serving.detect(BRIGHT).detections
