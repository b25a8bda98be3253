"""Metrics that a scraper can trust, logs that a machine can read, traces that go on into Serving."""

from __future__ import annotations

import http.server
import json
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from support.fake_serving import FakeServing
from support.gateways import running
from support.pictures import jpeg
from support.tools import tool
from support.video_answers import lines
from support.videos import write_video

from sightline_serving.gateway.logs import JsonFormatter
from sightline_serving.gateway.metrics import STAGES

PICTURE = jpeg()
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def samples(client: FlaskClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = client.get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labelled(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def test_every_stage_and_every_finding_is_counted(client: FlaskClient) -> None:
    for _ in range(3):
        client.post("/v1/detect", data=PICTURE)
    client.post("/v1/detect", data=b"text")
    client.post("/v1/models/made-up:detect", data=PICTURE)
    seen = samples(client)
    for stage in STAGES:
        assert seen["sightline_stage_seconds_count", labelled(stage=stage)] >= 3, stage
        if stage not in {"resize", "postprocess"}:  # too short to be told from nothing
            assert seen["sightline_stage_seconds_sum", labelled(stage=stage)] > 0, stage
    requests = {key[1]: value for key, value in seen.items() if key[0] == "sightline_requests_total"}
    route = {"route": "detect.detect"}
    assert requests[labelled(**route, status="200", model="droids", version="1")] == 3
    assert requests[labelled(**route, status="415", model="", version="")] == 1
    assert requests[labelled(**route, status="404", model="", version="")] == 1, (
        "no label that a caller makes up"
    )
    assert seen["sightline_errors_total", labelled(code="not_an_image")] == 1
    assert seen["sightline_detections_total", labelled(model="droids", version="1", label="R2-D2")] == 3
    assert seen["sightline_frames_total", labelled(model="droids", version="1")] == 3
    assert seen["sightline_detection_score_count", labelled(model="droids", version="1")] == 6
    assert seen["sightline_detection_score_bucket", labelled(model="droids", version="1", le="0.7")] == 3
    assert seen["sightline_requests_in_flight", ()] == 0
    route = {"route": "detect.detect"}
    assert (
        seen["sightline_request_seconds_bucket", labelled(**route, le="600.0")] == 5
    )  # a film's time has a bucket


def test_what_is_in_flight_is_told_while_it_is(client: FlaskClient, serving: FakeServing) -> None:
    """By the worker that has it, also to another one's scraper, who reads what is written."""
    assert client.post("/v1/detect", data=PICTURE).status_code == 200  # what Serving is asked once
    serving.behaviour.delay = 1.0
    asking = threading.Thread(target=client.post, args=("/v1/detect",), kwargs={"data": PICTURE})
    begun = serving.predicts
    asking.start()
    while serving.predicts == begun:
        assert asking.is_alive()
        time.sleep(0.01)
    assert samples(client)["sightline_requests_in_flight", ()] == 1
    asking.join()
    assert samples(client)["sightline_requests_in_flight", ()] == 0


def test_a_video_is_booked_when_its_answer_is_over(client: FlaskClient, tmp_path: Path) -> None:
    """With the time of all its lines, what answered it, and what it ended with."""
    film = write_video(tmp_path / "film.mp4", 50).read_bytes()
    route = "video.detect_video"
    answer = client.post("/v1/detectVideo", data=film, buffered=False)
    coming = iter(answer.response)
    next(coming)
    time.sleep(0.3)
    assert ("sightline_request_seconds_count", labelled(route=route)) not in samples(client)
    list(coming)
    answer.close()
    seen = samples(client)
    assert seen["sightline_request_seconds_count", labelled(route=route)] == 1
    assert seen["sightline_request_seconds_sum", labelled(route=route)] > 0.3
    answered = labelled(route=route, status="200", model="droids", version="1")
    assert seen["sightline_requests_total", answered] == 1
    assert seen["sightline_frames_total", labelled(model="droids", version="1")] == 50


def test_a_video_that_fails_midway_is_booked_with_its_error(
    serving: FakeServing, make_client: Callable[..., FlaskClient], tmp_path: Path
) -> None:
    client = make_client(serving.target, max_frames=10)
    film = write_video(tmp_path / "film.mp4", 20).read_bytes()
    assert lines(client.post("/v1/detectVideo", data=film))[-1]["error"]["code"] == "body_too_large"
    client.post("/v1/detectVideo", data=b"no video")
    seen = samples(client)
    assert seen["sightline_errors_total", labelled(code="body_too_large")] == 1
    assert seen["sightline_errors_total", labelled(code="not_a_video")] == 1
    assert seen["sightline_request_seconds_count", labelled(route="video.detect_video")] == 2


def test_promtool_finds_no_fault(client: FlaskClient) -> None:
    client.post("/v1/detect", data=PICTURE)
    text = client.get("/metrics").text
    run = subprocess.run(
        (tool("promtool"), "check", "metrics"),
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


def test_a_log_line_is_json_with_what_was_passed() -> None:
    record = logging.makeLogRecord({"name": "n", "levelname": "INFO", "msg": "hello\n%s", "args": ("you",)})
    record.request_id = "7"
    line = JsonFormatter().format(record)
    assert "\n" not in line
    plain = json.loads(line)
    assert (plain["message"], plain["level"], plain["request_id"]) == ("hello\nyou", "info", "7")
    assert plain["time"].endswith("+00:00")


class _Collector(http.server.BaseHTTPRequestHandler):
    bodies: list[bytes]

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Where traces are sent: its address, and the bodies that arrived."""
    handler = type("Collector", (_Collector,), {"bodies": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler.bodies
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_a_trace_that_comes_in_goes_on_to_serving(
    serving: FakeServing, collector: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, bodies = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")  # milliseconds
    with running(serving.target, tracing="true") as gateway:
        headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        answer = httpx.post(f"{gateway.url}/v1/detect", content=PICTURE, headers=headers, timeout=30)
        assert answer.status_code == 200
        assert gateway.stop() == 0
    passed_on = serving.metadata[-1]["traceparent"]
    assert passed_on.split("-")[1] == TRACE
    assert passed_on.split("-")[2] != "00f067aa0ba902b7", "a span of our own stands between"
    exported = b"".join(bodies)
    assert bytes.fromhex(TRACE) in exported
    assert b"Predict" in exported
