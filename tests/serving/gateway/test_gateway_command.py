"""The real command on a real port: starts, serves from its workers, stops cleanly."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
from support.fake_serving import FakeServing
from support.gateways import COMMAND, clean_environment, free_port, running
from support.pictures import jpeg
from support.threads import signal_another_thread

from sightline_serving.gateway.ending import STOP_TIMEOUT


def value(text: str, name: str) -> float:
    """The sum of a metric's samples whose line begins so."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name)]
    return sum(float(number) for _, number in lines)


@pytest.mark.parametrize("how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_it_serves_counts_over_all_workers_and_stops_with_0(
    serving: FakeServing, how: signal.Signals
) -> None:
    with running(serving.target, workers=2) as gateway:

        def ask(_: int) -> int:
            with httpx.Client() as client:  # a connection each, so that both workers get some
                return client.post(f"{gateway.url}/v1/detect", content=jpeg(), timeout=20).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(ask, range(24))) == {200}
        assert httpx.get(f"{gateway.url}/readyz").status_code == 200
        asked = 'sightline_requests_total{model="droids",route="detect.detect",status="200"'
        _until(lambda: value(httpx.get(f"{gateway.url}/metrics").text, asked) == 24)  # a moment later
        for _ in range(4):  # whichever worker answers
            text = httpx.get(f"{gateway.url}/metrics").text
            assert value(text, asked) == 24
            assert value(text, 'sightline_detections_total{label="BB-8"') == 24
            assert value(text, "sightline_requests_in_flight") == 0
        assert gateway.stop(how) == 0
        lines = [json.loads(line) for line in gateway.log().splitlines()]
        detected = [line for line in lines if line.get("path") == "/v1/detect"]
        assert len(detected) == 24
        assert all(line["request_id"] and line["status"] == 200 and line["ms"] > 0 for line in detected)


def test_a_request_just_before_the_end_has_its_line(serving: FakeServing) -> None:
    with running(serving.target, workers=1) as gateway:
        assert httpx.post(f"{gateway.url}/v1/detect", content=jpeg(), timeout=20).status_code == 200
        assert gateway.stop() == 0
        assert [line for line in gateway.log().splitlines() if json.loads(line).get("path") == "/v1/detect"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_one_that_is_stopped_as_it_starts_ends_soon(serving: FakeServing, how: signal.Signals) -> None:
    environment = clean_environment(model="droids", serving=serving.target, port=str(free_port()))
    process = subprocess.Popen(COMMAND, env=environment, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: bool(psutil.Process(process.pid).children()))
        process.send_signal(how)
        assert process.wait(STOP_TIMEOUT / 2) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="a thread is named to Linux's kernel")
def test_a_signal_that_comes_to_another_thread_is_heeded(serving: FakeServing) -> None:
    """Of a process with many, the kernel may give it to any: to the parent's here, and to a worker's."""
    with running(serving.target, workers=1) as gateway:
        (worker,) = psutil.Process(gateway.process.pid).children()
        assert httpx.post(f"{gateway.url}/v1/detect", content=jpeg(), timeout=20).status_code == 200
        signal_another_thread(worker.pid, signal.SIGTERM)
        _until(lambda: not _runs(worker.pid))
        signal_another_thread(gateway.process.pid, signal.SIGTERM)
        assert gateway.process.wait(STOP_TIMEOUT / 2) == 0


def test_grpc_is_imported_after_it_is_told_how_to_wait() -> None:
    code = "import sys, sightline_serving.gateway.__main__, sightline_serving.gateway.server\n"
    code += "sys.exit('grpc' in sys.modules)"
    run = subprocess.run((sys.executable, "-c", code), timeout=60, check=False)
    assert run.returncode == 0, "it reads GRPC_EXPERIMENTS at import, which `serve` sets"


def test_a_taken_port_is_told_and_ends_with_1(serving: FakeServing) -> None:
    with running(serving.target) as gateway:
        port = gateway.url.rsplit(":", 1)[1]
        environment = clean_environment(model="droids", port=port)
        run = subprocess.run(
            COMMAND, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert run.returncode == 1
        assert port in run.stderr
        assert "SIGHTLINE_PORT" in run.stderr
        assert "Traceback" not in run.stderr


@pytest.mark.slow
def test_a_lost_worker_is_replaced_and_no_counter_falls(serving: FakeServing) -> None:
    with running(serving.target, workers=1) as gateway:
        name = "sightline_requests_total"
        url = gateway.url
        assert httpx.post(f"{url}/v1/detect", content=jpeg(), timeout=20).status_code == 200
        before = value(httpx.get(f"{url}/metrics").text, name)
        children = subprocess.run(
            ("pgrep", "-P", str(gateway.process.pid)), capture_output=True, text=True, check=True
        )
        subprocess.run(("kill", "-KILL", *children.stdout.split()), check=True)
        _until(lambda: not any(_runs(int(child)) for child in children.stdout.split()))  # nor takes callers
        transport = httpx.HTTPTransport(retries=8)  # waits between its tries, for up to a minute
        with httpx.Client(transport=transport, timeout=20) as client:
            assert client.post(f"{url}/v1/detect", content=jpeg()).status_code == 200
            text = client.get(f"{url}/metrics").text
        assert value(text, name) >= before + 1
        assert value(text, "sightline_requests_in_flight") == 0
        assert gateway.stop() == 0


@pytest.mark.slow
def test_broken_pictures_write_nothing_but_log_lines(serving: FakeServing) -> None:
    damaged = bytearray(jpeg(640, 480))
    for at in range(400, len(damaged) - 10, 97):
        damaged[at] ^= 0x55
    with running(serving.target) as gateway:
        for body in (bytes(damaged), b"\x89PNG\r\n\x1a\n" + bytes(200) + b"IEND", jpeg()[:-40] + b"\xff\xd9"):
            assert httpx.post(f"{gateway.url}/v1/detect", content=body, timeout=20).status_code < 500
        assert gateway.stop() == 0
        for line in gateway.log().splitlines():
            json.loads(line)


@pytest.mark.slow
def test_bodies_whose_length_is_not_told(serving: FakeServing) -> None:
    def pieces(data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), 1000):
            yield data[at : at + 1000]

    with running(serving.target, max_body=20_000, max_video=20_000) as gateway:
        good = httpx.post(f"{gateway.url}/v1/detect", content=pieces(jpeg()), timeout=20)
        assert good.status_code == 200
        for action in ("detect", "detectVideo"):
            large = httpx.post(f"{gateway.url}/v1/{action}", content=pieces(bytes(30_000)), timeout=20)
            assert (large.status_code, large.json()["code"]) == (413, "body_too_large")


@pytest.mark.slow
def test_callers_that_trickle_or_leave_hold_only_their_own_room(serving: FakeServing) -> None:
    data = jpeg()
    with running(serving.target, max_in_flight=4) as gateway:
        port = int(gateway.url.rsplit(":", 1)[1])
        held = []
        for _ in range(4):
            caller = socket.create_connection(("127.0.0.1", port))
            head = f"POST /v1/detect HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
            caller.sendall(head.encode() + data[:100])
            held.append(caller)
        _until(lambda: httpx.post(f"{gateway.url}/v1/detect", content=data, timeout=20).status_code == 503)
        assert httpx.get(f"{gateway.url}/healthz", timeout=20).status_code == 200
        for caller in held:
            caller.close()
        _until(lambda: httpx.post(f"{gateway.url}/v1/detect", content=data, timeout=20).status_code == 200)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="the policy is Linux's")
def test_threads_that_wake_do_not_interrupt_the_one_at_work(serving: FakeServing) -> None:
    with running(serving.target, workers=2) as gateway:
        assert httpx.post(f"{gateway.url}/v1/detect", content=jpeg(), timeout=20).status_code == 200
        workers = psutil.Process(gateway.process.pid).children()
        threads = [thread.id for worker in workers for thread in worker.threads()]
        assert len(workers) == 2
        assert len(threads) > 4
        assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_BATCH}
