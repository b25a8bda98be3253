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
from werkzeug.test import create_environ

from sightline.contract import ModelCard
from sightline_serving.gateway.application import Request
from sightline_serving.gateway.forms import LARGEST
from sightline_serving.gateway.settings import Settings
from sightline_serving.gateway.video_requests import read_video

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


FORM = 'multipart/form-data; boundary="B"'


def form_of(video: bytes) -> bytes:
    head = b'--B\r\nContent-Disposition: form-data; name="video"; filename="v.mp4"\r\n\r\n'
    return head + video + b"\r\n--B--\r\n"


@pytest.mark.parametrize("kind", ["video/mp4", FORM])
@pytest.mark.parametrize("more", [0, LARGEST])  # a form is read at once up to that size
def test_a_video_that_ends_before_it_is_all_there_is_refused(
    video: Path, serving: FakeServing, kind: str, more: int
) -> None:
    data = video.read_bytes() + bytes(more)
    data = form_of(data) if kind == FORM else data
    with running(serving.target) as gateway:
        answer = post(gateway.url, kind, f"Content-Length: {len(data)}", data[:-100])
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert f"the body ends after {len(data) - 100} of the {len(data)} bytes".encode() in answer


def test_a_body_whose_length_is_not_told_is_bounded(video: Path, serving: FakeServing) -> None:
    with running(serving.target, max_video=20_000) as gateway:
        answer = post(gateway.url, "video/mp4", "Transfer-Encoding: chunked", b"7530\r\n" + bytes(30_000))
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]


def post(url: str, kind: str, length: str, body: bytes) -> bytes:
    """The answer to so much of a body, and no more."""
    address = httpx.URL(url)
    head = f"POST /v1/detectVideo HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{length}\r\n"
    with socket.create_connection((address.host, address.port or 80), timeout=20) as connection:
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_large_form_goes_straight_to_the_file_where_it_is_wanted(video: Path, tmp_path: Path) -> None:
    """A gigabyte would else lie on the disk twice."""
    path, sizes, content = tmp_path / "video", [], video.read_bytes() + bytes(2 * LARGEST)

    class Watched(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            sizes.append(path.stat().st_size if path.exists() else 0)
            return super().readinto(buffer)

    body = form_of(content)
    environ = create_environ(method="POST", input_stream=Watched(body), content_type=FORM)
    environ["CONTENT_LENGTH"] = str(len(body))
    read_video(Request(environ), path, Settings(serving="127.0.0.1:8500", model="droids"), lambda _: None)
    assert path.read_bytes() == content
    assert any(0 < size < len(content) for size in sizes)
