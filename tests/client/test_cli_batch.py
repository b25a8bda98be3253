from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from support.fake_serving import LABELS, SIDE, Arrays, FakeServing, FakeVersion, fake_serving
from support.videos import numbered_frames, write_video

from sightline.cli import main
from sightline.cli.exits import Exit
from sightline.contract import ModelCard
from sightline.images import encode_jpeg

KILLS = 20


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServing]:
    with fake_serving() as running:
        yield running


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for number, frame in enumerate(numbered_frames(30)):
        (folder / f"photo{number:02d}.jpg").write_bytes(
            encode_jpeg(np.minimum(255, frame + number * 8).astype(np.uint8))
        )
    (folder / "broken.jpg").write_bytes(b"no picture")
    write_video(folder / "film.mp4", 200)
    write_video(folder / "other.mp4", 60)
    return folder


def arguments(server: FakeServing, out: Path, *more: object) -> list[str]:
    return ["batch", "--serving", server.target, "--model", "droids", "--out", str(out), *map(str, more)]


def records(out: Path) -> dict[str, list[dict[str, object]]]:
    return {
        path.name: [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted((out / "results").glob("*.ndjson"))
    }


def tables(out: Path) -> dict[str, dict[str, list[object]]]:
    return {
        path.name: pq.read_table(path).to_pydict() for path in sorted((out / "results").glob("*.parquet"))
    }


def manifest(out: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (out / "manifest.ndjson").read_text().splitlines()]
    return sorted(lines[1:], key=lambda line: line["input"])


def test_a_job_says_what_became_of_it(server: FakeServing, inputs: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, arguments(server, tmp_path / "out", inputs, "--fps", 5, "--segment", 2))
    assert result.exit_code == Exit.SOME_FAILED
    assert "broken.jpg: the 10 bytes sent are no image" in result.stderr
    assert "32 inputs done, 1 failed" in result.stderr
    assert len(records(tmp_path / "out")) == 32
    again = CliRunner().invoke(main, arguments(server, tmp_path / "out", inputs, "--fps", 5, "--segment", 2))
    assert (again.exit_code, "--resume" in again.stderr) == (Exit.USAGE, True)


def test_collecting_leaves_the_results_as_they_are(inputs: Path, tmp_path: Path) -> None:
    """The card wants 0.7 of a BB-8, of which the server is sure by 0.6: nearly found, and so collected."""
    card = ModelCard("droids", LABELS, SIDE, SIDE, {1: 0.7, 2: 0.5})
    pictures = f"{inputs}/photo*.jpg"
    with fake_serving({"droids": {1: FakeVersion(card=card)}}) as server:
        for out, more in (("plain", ()), ("collecting", ("--collect", tmp_path / "hard"))):
            result = CliRunner().invoke(main, arguments(server, tmp_path / out, pictures, *more))
            assert result.exit_code == Exit.OK, result.stderr
    assert records(tmp_path / "collecting") == records(tmp_path / "plain")
    (name, *_) = sorted(path.stem for path in (tmp_path / "hard" / "images").iterdir())
    assert name.startswith("0.500-score-")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("/gone/folder/*.jpg",), "holds no pictures"),
        ((".", "--address", "auto"), "--engine ray"),
        ((".", "--collect-against", "m"), "--collect DIR"),
        ((".", "--segment", "0"), "x>0"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    server: FakeServing, tmp_path: Path, more: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments(server, tmp_path / "out", *more))
    assert (result.exit_code, says in result.stderr) == (Exit.USAGE, True), result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed here")
def test_a_missing_library_is_said_before_anything_is_written(
    server: FakeServing, inputs: Path, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, arguments(server, tmp_path / "out", inputs, "--engine", "ray"))
    assert (result.exit_code, "pip install 'sightline[ray]'" in result.stderr) == (Exit.USAGE, True)
    assert not (tmp_path / "out").exists()


def test_a_wrong_model_ends_the_job_at_once(server: FakeServing, inputs: Path, tmp_path: Path) -> None:
    command = ["batch", "--serving", server.target, "--model", "nomodel", "--out", str(tmp_path), str(inputs)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == Exit.REFUSED


def test_a_class_that_the_model_lacks_ends_the_job_before_any_input(
    server: FakeServing, inputs: Path, tmp_path: Path
) -> None:
    job = arguments(server, tmp_path, inputs / "photo00.jpg", inputs / "photo01.jpg")
    ended = CliRunner().invoke(main, [*job, "--class", "R2D2"])
    assert ended.exit_code == Exit.USAGE, ended.output
    assert "the model has no class 'R2D2'" in ended.output
    again = CliRunner().invoke(main, [*job, "--class", LABELS[1]])
    assert again.exit_code == Exit.OK, again.output


def test_a_disk_that_fills_up_ends_the_job_and_leaves_nothing_half_written(
    server: FakeServing, inputs: Path, tmp_path: Path
) -> None:
    """A limit of 24 KiB on the size of a file stands in for the full disk; only the video's is larger."""
    command = [sys.executable, "-m", "sightline.cli", *arguments(server, tmp_path / "out", inputs)]
    limited = ["bash", "-c", 'ulimit -f 24; exec "$@"', "bash", *command]
    done = subprocess.run(limited, capture_output=True, timeout=120, check=False)
    assert done.returncode == Exit.LOCAL_FILE, done.stderr.decode()
    assert b"too large" in done.stderr
    assert [path.name for path in (tmp_path / "out").rglob("*.part")] == []
    resumed = CliRunner().invoke(main, arguments(server, tmp_path / "out", inputs, "--resume"))
    assert resumed.exit_code == Exit.SOME_FAILED
    assert len(records(tmp_path / "out")) == 32


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_twenty_random_points_the_job_gives_what_an_undisturbed_one_gives(
    server: FakeServing, inputs: Path, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(10**9)
    chance = random.Random(seed)
    options = ("--segment", 1, "--workers", 2, inputs)
    undisturbed = tmp_path / "undisturbed"
    assert CliRunner().invoke(main, arguments(server, undisturbed, *options)).exit_code == Exit.SOME_FAILED
    server.behaviour.delay = 0.005  # so that there is time to be killed in
    kills = rounds = 0
    try:
        while kills < KILLS:
            rounds += 1
            out = tmp_path / f"killed{rounds}"
            command = [sys.executable, "-m", "sightline.cli", *arguments(server, out, *options, "--resume")]
            while kills < KILLS and killed_under_way(command, out, chance.uniform(0, 0.4)):
                kills += 1
            resumed = CliRunner().invoke(main, arguments(server, out, *options, "--resume"))
            assert resumed.exit_code == Exit.SOME_FAILED, (seed, resumed.stderr)
            assert records(out) == records(undisturbed), seed
            assert tables(out) == tables(undisturbed), seed
            assert manifest(out) == manifest(undisturbed), seed
            assert sorted(path.name for path in out.iterdir()) == ["manifest.ndjson", "results"], seed
    finally:
        server.behaviour.delay = 0


def killed_under_way(command: list[str], out: Path, wait: float) -> bool:
    """Start the job, and kill it `wait` seconds after its next step; whether it was still there."""

    def steps() -> int:
        return sum(len(files) for _, _, files in os.walk(out))

    before = steps()
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and steps() <= before:
            time.sleep(0.002)
        time.sleep(wait)
        process.kill()
        return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_job_ends_soon_and_can_be_continued(
    inputs: Path, tmp_path: Path, by: signal.Signals
) -> None:
    """The server holds the hundredth picture back until the signal is sent, so the job cannot end before."""
    out, sent = tmp_path / "out", threading.Event()
    with fake_serving() as server:
        version = server.models["droids"][1]
        answer = version.answer

        def hold_back(pictures: Arrays) -> Arrays:
            if sum(server.batches) >= 100:
                sent.wait(30)
            return answer(pictures)

        version.answer = hold_back
        command = [sys.executable, "-m", "sightline.cli", *arguments(server, out, inputs)]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            while sum(server.batches) < 100:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(by)
            sent.set()
            _, told = process.communicate(timeout=30)
        assert process.returncode == Exit.INTERRUPTED
        assert told.decode().splitlines()[-1] == "interrupted"
        assert len(records(out)) < 32
        resumed = CliRunner().invoke(main, arguments(server, out, inputs, "--resume"))
    assert resumed.exit_code == Exit.SOME_FAILED
    assert len(records(out)) == 32
