"""How strictly a request is read: what is taken in several spellings, and what is refused."""

from __future__ import annotations

import base64
import gzip
import http.server
import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import httpx
import pytest
from flask.testing import FlaskClient
from support.fake_serving import FakeServing
from support.gateways import running
from support.pictures import jpeg
from support.videos import write_video

BRIGHT, DARK = jpeg(), jpeg(bright=False)
TEXT = base64.b64encode(BRIGHT).decode()
FORM = "multipart/form-data"


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.get_json()["code"]


def labels(answer: Any) -> list[str]:
    return [found["label"] for found in answer["detections"]]


BASE64 = {
    "in lines": base64.encodebytes(BRIGHT).decode(),
    "in lines of the web": base64.encodebytes(BRIGHT).decode().replace("\n", "\r\n"),
    "of the URL alphabet": base64.urlsafe_b64encode(BRIGHT).decode(),
    "without its padding": TEXT.rstrip("="),
    "of the URL alphabet, without padding": base64.urlsafe_b64encode(BRIGHT).decode().rstrip("="),
}


@pytest.mark.parametrize("spelling", BASE64)
@pytest.mark.parametrize("field", ["image", "images"])
def test_base64_in_every_spelling(client: FlaskClient, spelling: str, field: str) -> None:
    text = BASE64[spelling]
    answer = client.post("/v1/detect", json={field: text if field == "image" else [text]}).get_json()
    assert labels(answer if field == "image" else answer["results"][0]) == ["R2-D2", "BB-8"]


def test_the_spellings_differ() -> None:
    assert {"-", "_"} & set(BASE64["of the URL alphabet"]), "else the picture is no test"
    assert len(set(BASE64.values()) | {TEXT}) > 3


@pytest.mark.parametrize("text", ["=", "A", "A===", TEXT[:40] + "!" + TEXT[41:], "data:image/jpeg;base64"])
def test_what_is_no_base64_in_any_spelling(client: FlaskClient, text: str) -> None:
    assert problem(client.post("/v1/detect", json={"image": text})) == (400, "no_image")


def test_broken_items_keep_their_places_and_spoil_no_neighbour(
    client: FlaskClient, serving: FakeServing
) -> None:
    dark = base64.b64encode(DARK).decode()
    no_picture = base64.b64encode(b"no picture").decode()
    items: list[Any] = [None, TEXT, "!!", dark, {"b64": no_picture}, {"b64": TEXT}, 7, ""]
    answer = client.post("/v1/detect", json={"images": items})
    assert answer.status_code == 200
    results = answer.get_json()["results"]
    assert [labels(results[place]) for place in (1, 3, 5)] == [
        ["R2-D2", "BB-8"],
        ["R2-D2"],
        ["R2-D2", "BB-8"],
    ]
    broken = {place: (item["code"], item["status"]) for place, item in enumerate(results) if "code" in item}
    assert broken == {
        0: ("no_image", 400),
        2: ("no_image", 400),
        4: ("not_an_image", 415),
        6: ("no_image", 400),
        7: ("no_image", 400),
    }
    assert "images[2]" in results[2]["detail"]
    assert {results[place]["request_id"] for place in broken} == {answer.headers["X-Request-ID"]}
    assert serving.batches == [3], "what can be asked is asked together"


def test_where_all_items_are_broken_the_first_one_s_problem_is_the_answer(
    client: FlaskClient, serving: FakeServing
) -> None:
    answer = client.post("/v1/detect", json={"images": ["!!", 7]})
    assert problem(answer) == (400, "no_image")
    assert "images[0]" in answer.get_json()["detail"]
    assert serving.predicts == 0


def test_an_option_of_null_is_one_that_is_left_out(client: FlaskClient) -> None:
    answer = client.post("/v1/detect", json={"image": TEXT, "threshold": None, "classes": None})
    assert labels(answer.get_json()) == ["R2-D2", "BB-8"]


@pytest.mark.parametrize(
    ("query", "body", "named"),
    [
        ("?threshold=0.1&threshold=0.9", {"data": BRIGHT}, "threshold"),
        ("?classes=BB-8&classes=R2-D2", {"data": BRIGHT}, "classes"),
        ("?format=voc&format=voc", {"json": {"image": TEXT}}, "format"),
        ("?threshold=0.1", {"json": {"image": TEXT, "threshold": 0.1}}, "query and in the body"),
        ("?threshold=0.1", {"form": {"threshold": "0.1"}}, "query and in the body"),
        ("", {"form": {"threshold": ["0.1", "0.2"]}}, "threshold"),
    ],
)
def test_an_option_given_twice_is_refused(
    client: FlaskClient, query: str, body: dict[str, Any], named: str
) -> None:
    if "form" in body:
        body = {"data": {"image": (io.BytesIO(BRIGHT), "b.jpg"), **body["form"]}, "content_type": FORM}
    answer = client.post(f"/v1/detect{query}", **body)
    assert problem(answer) == (400, "invalid_option")
    assert named in answer.get_json()["detail"]


@pytest.mark.parametrize("address", ["/v1/detect", "/v1/detectVideo"])
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate, gzip"])
def test_a_compressed_body_is_refused_unread(
    client: FlaskClient, serving: FakeServing, address: str, coding: str
) -> None:
    headers = {"Content-Encoding": coding}
    answer = client.post(address, data=gzip.compress(BRIGHT), headers=headers)
    assert problem(answer) == (415, "unsupported_media")
    assert "Content-Encoding" in answer.get_json()["detail"]
    assert serving.predicts == 0


def test_a_body_that_says_it_is_not_compressed_is_taken(client: FlaskClient) -> None:
    answer = client.post("/v1/detect", data=BRIGHT, headers={"Content-Encoding": "identity"})
    assert labels(answer.get_json()) == ["R2-D2", "BB-8"]


def test_control_characters_in_a_file_s_name_cannot_break_an_answer(client: FlaskClient) -> None:
    name = "a\x01b\x0bc\ufffe" + "é" * 300 + ".jpg"
    form = {"image": (io.BytesIO(BRIGHT), name)}
    voc = client.post("/v1/detect?format=voc", data=form, content_type=FORM)
    told = ET.fromstring(voc.text).findtext("filename")
    assert told == "a_b_c_" + "é" * 249, "255 characters, and no more"
    form = {"image": (io.BytesIO(BRIGHT), name)}
    coco = client.post("/v1/detect?format=coco", data=form, content_type=FORM).get_json()
    assert coco[0]["image_id"] == told


def test_a_picture_sent_as_text_of_a_form_is_told_how_to_send_it(client: FlaskClient) -> None:
    answer = client.post("/v1/detect", data={"image": "hello"}, content_type=FORM)
    assert problem(answer) == (400, "no_image")
    assert "send it as a file" in answer.get_json()["detail"]


PLAYLISTS = {
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}\n#EXT-X-ENDLIST\n",
    "DASH": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    "<BaseURL>{url}</BaseURL></Period></MPD>",
    "concat": "ffconcat version 1.0\nfile {url}\n",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "subtitles": "1\n00:00:00,000 --> 00:00:10,000\n{url}\n",
}


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A host that no request may be made to: an address on it, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/inside.ts", asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_is_no_video_and_nothing_in_it_is_opened(
    client: FlaskClient, listener: tuple[str, list[str]], kind: str
) -> None:
    url, asked = listener
    text = PLAYLISTS[kind].format(url=url).encode()
    answer = client.post("/v1/detectVideo", data=text, content_type="video/mp4")
    assert problem(answer) == (415, "not_a_video")
    assert asked == []


def test_a_playlist_that_begins_as_a_container_does_is_opened_no_further(
    client: FlaskClient, listener: tuple[str, list[str]], tmp_path: Path
) -> None:
    """What passes the first look is still decoded where no other host can be named."""
    url, asked = listener
    secret = write_video(tmp_path / "secret.ts", 5, "-c:v", "mpeg2video")
    for target in (url, str(secret)):
        for head in (b"GIF89a\n", b"G\n", b"OggS\n"):
            text = head + PLAYLISTS["HLS"].format(url=target).encode()
            answer = client.post("/v1/detectVideo", data=text)
            assert answer.status_code in {413, 415}, "a GIF of absurd size, or nothing"
    assert asked == []


def test_a_refused_video_s_own_path_is_not_told(client: FlaskClient) -> None:
    answer = client.post("/v1/detectVideo", data=b"\x00\x00\x00\x18ftypisom" + bytes(200))
    assert problem(answer) == (415, "not_a_video")
    assert "/" not in answer.get_json()["detail"].replace("video/mp4", "")


def test_a_form_with_two_videos_is_refused(client: FlaskClient) -> None:
    files = [(io.BytesIO(b"GIF89a"), "a.gif"), (io.BytesIO(b"GIF89a"), "b.gif")]
    answer = client.post("/v1/detectVideo", data={"video": files}, content_type=FORM)
    assert problem(answer) == (415, "not_a_video")


def test_a_body_cut_short_is_told_so(client: FlaskClient, serving: FakeServing) -> None:
    half = BRIGHT[: len(BRIGHT) // 2]
    answer = client.post("/v1/detect", data=half, environ_overrides={"CONTENT_LENGTH": str(len(BRIGHT))})
    assert problem(answer) == (400, "invalid_input")
    assert f"{len(half)} of the {len(BRIGHT)} bytes" in answer.get_json()["detail"]
    assert serving.predicts == 0


def test_a_caller_that_stops_sending_in_the_middle_harms_nothing(serving: FakeServing) -> None:
    with running(serving.target) as gateway:
        address = urlsplit(gateway.url)
        head = f"POST /v1/detect HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BRIGHT)}\r\n\r\n".encode()
        for _ in range(5):
            with socket.create_connection((str(address.hostname), int(address.port or 0)), 20) as caller:
                caller.sendall(head + BRIGHT[: len(BRIGHT) // 2])
        answer = httpx.post(f"{gateway.url}/v1/detect", content=BRIGHT, timeout=20)
        assert labels(answer.json()) == ["R2-D2", "BB-8"]
        assert "unexpected" not in gateway.log()
    assert serving.predicts == 1
