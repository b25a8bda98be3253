from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.fake_serving import FakeServing, fake_serving
from support.live_sources import mjpeg_server, rtsp_server
from support.videos import write_video

from sightline.cli import main
from sightline.cli.exits import Exit


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServing]:
    with fake_serving() as running:
        yield running


def arguments(server: FakeServing, address: str, *more: object) -> list[str]:
    return ["stream", address, "--serving", server.target, "--model", "droids", *map(str, more)]


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_lines_come_until_the_time_is_over(server: FakeServing, tmp_path: Path) -> None:
    out = tmp_path / "lines.ndjson"
    with mjpeg_server() as address:
        result = CliRunner().invoke(main, arguments(server, address, "--for", 1, "--out", out))
    assert result.exit_code == Exit.OK, result.stderr
    records = lines(out.read_text())
    assert records[0]["detections"] and records[0]["connections"] == 1
    frames = [record["frame"] for record in records]
    assert frames == sorted(set(frames))  # type: ignore[type-var]
    assert "came over 1 connections" in result.stderr


def test_frames_are_dropped_rather_than_falling_behind(server: FakeServing) -> None:
    server.behaviour.delay = 0.2
    try:
        with mjpeg_server(fps=100) as address:
            result = CliRunner().invoke(main, arguments(server, address, "--for", 1.5, "--in-flight", 1))
    finally:
        server.behaviour.delay = 0
    records = lines(result.stdout)
    assert records[-1]["dropped"] > len(records)  # type: ignore[operator]


def test_sigterm_ends_it_cleanly(server: FakeServing, tmp_path: Path) -> None:
    out = tmp_path / "lines.ndjson"
    with mjpeg_server() as address:
        command = [sys.executable, "-m", "sightline.cli", *arguments(server, address, "--out", out)]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            while not out.exists() or not out.stat().st_size:
                assert process.poll() is None
            os.kill(process.pid, signal.SIGTERM)
            _, told = process.communicate(timeout=30)
    assert process.returncode == Exit.OK
    assert b"looked at" in told
    assert out.read_bytes().endswith(b"\n") and lines(out.read_text())


def test_a_service_that_is_away_for_a_while_is_recorded_and_waited_for(tmp_path: Path) -> None:
    out = tmp_path / "lines.ndjson"
    with fake_serving() as server, mjpeg_server() as address:
        models = dict(server.models)
        command = [sys.executable, "-m", "sightline.cli", *arguments(server, address, "--out", out)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            for models_now, awaited in ((models, '"detections"'), ({}, '"error"'), (models, '"detections"')):
                server.models = models_now
                start = out.stat().st_size if out.exists() else 0
                while not out.exists() or awaited not in out.read_text()[start:]:
                    assert process.poll() is None
            process.terminate()
            assert process.wait(timeout=30) == Exit.OK


def test_a_stream_that_never_starts_is_said_with_its_code(server: FakeServing) -> None:
    address = "rtsp://joe:secret@127.0.0.1:9/none"
    result = CliRunner().invoke(main, arguments(server, address, "--start-timeout", 0.5))
    assert result.exit_code == Exit.TRY_AGAIN
    assert "gave no frame within 0.5 seconds" in result.stderr
    assert "secret" not in result.output


def test_a_wrong_model_ends_it_at_once() -> None:
    with fake_serving({}) as server, mjpeg_server() as address:
        result = CliRunner().invoke(main, arguments(server, address))
    assert result.exit_code == Exit.REFUSED


@pytest.mark.slow
def test_rtsp_from_end_to_end(server: FakeServing, tmp_path: Path) -> None:
    """Two seconds of film, played three times over: the server ends it, the client comes back."""
    film = write_video(
        tmp_path / "film.mp4", 50, "-c:v", "libx264", "-g", "10", "-bf", "0", "-pix_fmt", "yuv420p"
    )
    out = tmp_path / "lines.ndjson"
    with rtsp_server(film) as address:
        result = CliRunner().invoke(main, arguments(server, address, "--for", 12, "--out", out))
    assert result.exit_code == Exit.OK, result.stderr
    records = lines(out.read_text())
    assert records[-1]["connections"] >= 2  # type: ignore[operator]
    assert len(records) > 50
