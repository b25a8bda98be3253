"""How many videos are worked on at once, and that who sends slowly keeps nobody else out."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from support.fake_serving import FakeServing
from support.gateways import running
from support.videos import write_video
from support.waiting import until

from sightline.errors import OverloadedError
from sightline_serving.gateway.video_rooms import VideoRooms

LARGEST = 4_000_000  # bytes of a video


@contextmanager
def stalled(url: str, sent: int) -> Iterator[None]:
    """A caller who announces four megabytes, sends a part of them, and then nothing."""
    address = httpx.URL(url)
    head = f"POST /v1/detectVideo HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGEST}\r\n"
    with socket.create_connection((address.host, address.port or 80), timeout=20) as connection:
        connection.sendall(f"{head}\r\n".encode() + bytes(sent))
        yield


def test_a_sender_who_stalls_holds_no_room(serving: FakeServing, tmp_path: Path) -> None:
    video = write_video(tmp_path / "film.mp4", 10).read_bytes() + bytes(1_000_000)
    with running(serving.target, max_videos=1, max_video=LARGEST) as gateway:

        def answered() -> int:
            return httpx.post(f"{gateway.url}/v1/detectVideo", content=video, timeout=20).status_code

        with stalled(gateway.url, 1000), stalled(gateway.url, 1000), stalled(gateway.url, 1000):
            assert answered() == 200
            with stalled(gateway.url, LARGEST - 1000):
                until(lambda: answered() == 503)
            until(lambda: answered() == 200)


def test_there_are_so_many_rooms_and_so_much_disk() -> None:
    rooms = VideoRooms(2, 100)
    with rooms.room(), rooms.disk() as grow:
        rooms.check()
        with rooms.room():
            with pytest.raises(OverloadedError, match="2 videos"):
                rooms.check()
            with pytest.raises(OverloadedError, match="2 videos"), rooms.room():
                pass
        grow(150)
        with rooms.disk() as other:
            other(50)
            with pytest.raises(OverloadedError, match="too many bytes"):
                other(1)
        with rooms.disk() as other:
            other(50)
    with rooms.disk() as grow, rooms.room(), rooms.room():
        grow(200)
