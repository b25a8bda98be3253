"""What a request for `:detectVideo` may hold: forms, options, limits, what is no video or half of one."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient
from support.fake_serving import SIDE, FakeServing, FakeVersion
from support.gateways import running
from support.video_answers import decoders, lines, problem
from support.videos import undecodable, write_video

from sightline.contract import ModelCard

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
MakeClient = Callable[..., FlaskClient]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "fifty.mp4", 50)


def test_a_form_with_its_options(client: FlaskClient, video: Path) -> None:
    form = {"video": (io.BytesIO(video.read_bytes()), "v.mp4"), "every": "25"}
    found = lines(client.post("/v1/detectVideo", data=form, content_type="multipart/form-data"))
    assert len(found) == 3


def test_what_is_no_video_is_a_problem_document(client: FlaskClient, video: Path) -> None:
    assert problem(client.post("/v1/detectVideo", data=b"")) == (415, "not_a_video")
    assert problem(client.post("/v1/detectVideo", data=b"no video")) == (415, "not_a_video")
    assert problem(client.post("/v1/detectVideo", data=video.read_bytes()[:300])) == (415, "not_a_video")
    text = client.post("/v1/detectVideo", data=b"x", content_type="text/plain")
    assert problem(text) == (415, "unsupported_media")
    form = client.post("/v1/detectVideo", data={"a": "b"}, content_type="multipart/form-data")
    assert problem(form) == (415, "not_a_video")
    wrong = client.post("/v1/detectVideo?fps=2&every=2", data=video.read_bytes())
    assert problem(wrong) == (400, "invalid_option")
    unknown = client.post("/v1/models/nobody:detectVideo", data=video.read_bytes())
    assert problem(unknown) == (404, "model_not_found")
    assert not decoders()


def test_a_video_of_which_no_frame_can_be_decoded_is_refused_as_a_whole(
    client: FlaskClient, tmp_path: Path
) -> None:
    film = undecodable(write_video(tmp_path / "film.mp4", 30))
    for query in ("", "?start=1"):
        refused = client.post(f"/v1/detectVideo{query}", data=film.read_bytes())
        assert problem(refused) == (415, "not_a_video")
        assert refused.get_json()["detail"].startswith("no frame of the file can be decoded")


@pytest.mark.parametrize(
    "query", ["classes=foo", "threshold=2", "max_detections=0", "fps=0", "start=2&end=1"]
)
def test_a_wrong_option_is_refused_before_the_first_line(
    client: FlaskClient, video: Path, query: str
) -> None:
    refused = client.post(f"/v1/detectVideo?{query}", data=video.read_bytes())
    assert problem(refused) == (400, "invalid_option")
    assert query.split("=", maxsplit=1)[0][:5] in refused.get_json()["detail"]


def test_a_class_that_came_with_a_newer_version_is_taken(
    client: FlaskClient, serving: FakeServing, video: Path
) -> None:
    assert problem(client.post("/v1/detectVideo?classes=Gonk", data=video.read_bytes()))[0] == 400
    card = ModelCard("droids", {1: "Gonk", 2: "R2-D2"}, SIDE, SIDE, {})
    serving.models["droids"][2] = FakeVersion(card=card)
    assert len(lines(client.post("/v1/detectVideo?classes=Gonk&every=25", data=video.read_bytes()))) == 3


def test_limits(serving: FakeServing, make_client: Any, video: Path) -> None:
    data = video.read_bytes()
    small = make_client(serving.target, max_video=2000)
    assert problem(small.post("/v1/detectVideo", data=data)) == (413, "body_too_large")
    few_pixels = make_client(serving.target, max_pixels=1000)
    assert problem(few_pixels.post("/v1/detectVideo", data=data)) == (413, "too_many_pixels")
    short = make_client(serving.target, max_video_seconds=1)
    assert problem(short.post("/v1/detectVideo", data=data)) == (413, "body_too_large")
    assert len(lines(short.post("/v1/detectVideo?end=1&every=5", data=data))) == 6
    few = make_client(serving.target, max_frames=10)
    *frames, last = lines(few.post("/v1/detectVideo", data=data))
    assert len(frames) == 10
    assert last["error"]["code"] == "body_too_large"


def test_a_length_that_the_container_does_not_tell_is_limited_all_the_same(
    serving: FakeServing, make_client: MakeClient, tmp_path: Path
) -> None:
    """As a browser's recorder writes WebM: to a pipe, so that it cannot go back and note the length."""
    film = write_video(tmp_path / "live.mkv", 75, *H264, "-f", "matroska", "-live", "1")
    client = make_client(serving.target, max_video_seconds=1)
    *frames, last = lines(client.post("/v1/detectVideo?every=5", data=film.read_bytes()))
    assert [line["frame"] for line in frames] == [0, 5, 10, 15, 20]
    assert last["error"]["code"] == "body_too_large"
    assert last["error"]["detail"] == "the video goes on beyond the 1 s that are looked at; say start and end"
    assert len(lines(client.post("/v1/detectVideo?every=5&end=1", data=film.read_bytes()))) == 6
    assert len(lines(client.post("/v1/detectVideo?every=5&start=2", data=film.read_bytes()))) == 6


def test_the_summary_of_a_video_that_was_cut_short_says_so(
    client: FlaskClient, video: Path, tmp_path: Path
) -> None:
    assert "warning" not in lines(client.post("/v1/detectVideo", data=video.read_bytes()))[-1]["summary"]
    film = write_video(tmp_path / "film.mp4", 100, *H264, "-movflags", "+faststart")
    half = film.read_bytes()[: film.stat().st_size // 2]
    *frames, last = lines(client.post("/v1/detectVideo", data=half))
    assert 10 < len(frames) == last["summary"]["frames"] < 90
    assert "of 4.0 s; it may be cut short or damaged" in last["summary"]["warning"]


def test_a_video_that_ends_before_it_is_all_there_is_refused(video: Path, serving: FakeServing) -> None:
    data = video.read_bytes()
    head = (
        f"POST /v1/detectVideo HTTP/1.1\r\nHost: x\r\nContent-Type: video/mp4\r\nContent-Length: {len(data)}"
    )
    with running(serving.target) as gateway:
        address = httpx.URL(gateway.url)
        with socket.create_connection((address.host, address.port or 80), timeout=20) as connection:
            connection.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode() + data[:-100])
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert f"the body ends after {len(data) - 100} of the {len(data)} bytes".encode() in answer
