"""`POST …:detectVideo`: a line per frame as it is found, hostile files, callers that hang up."""

from __future__ import annotations

import io
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.fake_serving import FakeServing
from support.gateways import running
from support.video_answers import decoders, lines
from support.videos import FPS, write_video

from sightline_serving.gateway.app import create_app
from sightline_serving.gateway.ending import STOP_TIMEOUT, Ending
from sightline_serving.gateway.settings import Settings


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "fifty.mp4", 50)


def test_a_line_for_each_frame_and_a_summary(client: FlaskClient, serving: FakeServing, video: Path) -> None:
    *frames, last = lines(client.post("/v1/models/droids:detectVideo", data=video.read_bytes()))
    assert [line["frame"] for line in frames] == list(range(50))
    assert [line["time_ms"] for line in frames] == pytest.approx([1000 * i / FPS for i in range(50)], abs=1)
    assert frames[7]["image"] == {"width": 320, "height": 240}
    assert frames[7]["detections"][0]["label"] == "R2-D2"
    assert frames[7]["model"] == {"name": "droids", "version": 1}
    assert last["summary"]["frames"] == 50
    assert last["summary"]["detections"]["R2-D2"] == 50
    assert 1 in serving.batches[:2], "the first frame goes alone, so that something is seen at once"
    assert max(serving.batches) > 1


@pytest.mark.parametrize(
    ("query", "frames"),
    [
        ("fps=5", list(range(0, 50, 5))),
        ("every=20", [0, 20, 40]),
        ("start=1&end=1.2", [0, 1, 2, 3, 4]),
        ("start=1.0&every=10&threshold=0.95", [0, 10, 20]),
    ],
)
def test_which_frames(client: FlaskClient, video: Path, query: str, frames: list[int]) -> None:
    *found, last = lines(client.post(f"/v1/detectVideo?{query}", data=video.read_bytes()))
    assert [line["frame"] for line in found] == frames
    assert last["summary"]["frames"] == len(frames)
    if "threshold" in query:
        assert not any(line["detections"] for line in found)


KINDS = {
    "mov": ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
    "webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"),
    "mkv": ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
    "avi": ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_container(client: FlaskClient, tmp_path: Path, kind: str) -> None:
    made = write_video(tmp_path / f"v.{kind}", 10, *KINDS[kind])
    assert len(lines(client.post("/v1/detectVideo", data=made.read_bytes()))) == 11


def test_an_animated_gif(client: FlaskClient) -> None:
    pictures = [Image.new("RGB", (64, 48), (value, value, value)) for value in (20, 120, 220)]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=100)
    *frames, last = lines(client.post("/v1/detectVideo", data=buffer.getvalue(), content_type="image/gif"))
    assert last["summary"]["frames"] == len(frames) == 3
    assert len(frames[2]["detections"]) == 2, "the bright one"


def test_a_failure_midway_ends_with_an_error_line(
    client: FlaskClient, serving: FakeServing, video: Path
) -> None:
    import grpc
    from support.fake_serving import Refusal

    answered = serving.models["droids"][1].answer

    def fail_later(inputs: Any) -> Any:
        if serving.predicts > 3:
            raise Refusal(grpc.StatusCode.INTERNAL, "the model broke")
        return answered(inputs)

    serving.models["droids"][1].answer = fail_later
    *frames, last = lines(client.post("/v1/detectVideo", data=video.read_bytes()))
    assert 1 <= len(frames) < 50
    assert (last["error"]["code"], last["error"]["detail"]) == ("serving_error", "the model broke")
    assert last["error"]["request_id"]
    assert not decoders()


def test_a_worker_that_ends_says_so_in_a_film_that_goes_on(serving: FakeServing, video: Path) -> None:
    ending = Ending(patience=0)
    app = create_app(Settings(model="droids", serving=serving.target), ending=ending)
    answer = app.test_client().post("/v1/detectVideo", data=video.read_bytes(), buffered=False)
    chunks = iter(answer.response)
    first = [json.loads(line) for line in next(chunks).splitlines()]
    ending.tell()
    frames = [*first, *(json.loads(line) for chunk in chunks for line in chunk.splitlines())]
    answer.close()
    *frames, last = frames
    assert [line["frame"] for line in frames] == list(range(len(frames)))
    assert 1 <= len(frames) < 50
    assert last["error"]["code"] == "overloaded"
    assert f"frames from {len(frames)} on were not answered" in last["error"]["detail"]
    assert not decoders()


@pytest.mark.slow
def test_a_gateway_that_is_stopped_says_so_in_a_film_that_goes_on(serving: FakeServing, video: Path) -> None:
    serving.behaviour.delay = 5.0  # a batch
    with running(serving.target, workers=1) as gateway:
        with httpx.stream(
            "POST", f"{gateway.url}/v1/detectVideo", content=video.read_bytes(), timeout=60
        ) as answer:
            told = answer.iter_lines()
            found = [json.loads(next(told))]
            begun = time.monotonic()
            gateway.process.terminate()
            found += [json.loads(line) for line in told]
        assert found[-1]["error"]["code"] == "overloaded"
        assert 20 < time.monotonic() - begun < STOP_TIMEOUT
        assert gateway.process.wait(10) == 0


def test_damaged_bytes_in_the_middle_never_break_a_line(client: FlaskClient, video: Path) -> None:
    data = bytearray(video.read_bytes())
    for at in range(len(data) // 3, len(data) // 2, 13):
        data[at] ^= 0xFF
    response = client.post("/v1/detectVideo", data=bytes(data))
    assert response.status_code in {200, 415}
    for line in response.text.splitlines():
        json.loads(line)


@pytest.mark.slow
def test_a_bomb_is_held_by_the_memory_limit(serving: FakeServing, make_client: Any, tmp_path: Path) -> None:
    client = make_client(serving.target, max_pixels=10**9, video_memory=300 * 2**20)
    huge = tmp_path / "huge.avi"
    made = (
        "ffmpeg",
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        "color=s=12000x12000:d=0.2:r=5",
        "-c:v",
        "mjpeg",
        str(huge),
    )
    subprocess.run(made, check=True, timeout=60)
    response = client.post("/v1/detectVideo", data=huge.read_bytes())
    text = response.text
    assert response.status_code == 415 or "error" in json.loads(text.splitlines()[-1])
    assert client.get("/healthz").status_code == 200
    assert not decoders()


@pytest.mark.slow
def test_a_caller_that_hangs_up_stops_the_work(serving: FakeServing, tmp_path: Path) -> None:
    video = write_video(tmp_path / "long.mp4", 3000)  # far more than a pipe holds
    serving.behaviour.delay = 0.3
    with running(serving.target, workers=1, max_videos=1) as gateway:

        def begin() -> Iterator[str]:
            with httpx.stream(
                "POST", f"{gateway.url}/v1/detectVideo", content=video.read_bytes(), timeout=20
            ) as answer:
                assert answer.status_code == 200
                yield from answer.iter_lines()

        first = begin()
        assert json.loads(next(first))["frame"] == 0
        assert decoders()
        busy = httpx.post(f"{gateway.url}/v1/detectVideo", content=video.read_bytes(), timeout=20)
        assert (busy.status_code, busy.json()["code"]) == (503, "overloaded")
        first.close()  # type: ignore[attr-defined]
        deadline = time.monotonic() + 10
        while decoders() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not decoders()
        seen = serving.predicts
        time.sleep(1)
        assert serving.predicts <= seen + 2, "what was in flight ends, nothing new begins"
        assert httpx.get(f"{gateway.url}/healthz").status_code == 200
        assert gateway.stop() == 0
        booked = [json.loads(line) for line in gateway.log().splitlines() if "POST /v1/detectVideo" in line]
        assert [line["status"] for line in booked] == [503, 200], "the one that was hung up on as well"
