"""Thousands of damaged and hostile files: 4xx problems or an answer, never a 5xx, a hang or a lost worker."""

from __future__ import annotations

import io
import json
import subprocess
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image
from support.fake_serving import FakeServing
from support.gateways import RunningGateway, running
from support.mutations import mutated, png_bomb
from support.pictures import encoded, jpeg
from support.videos import write_video

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
PICTURES = 4000
VIDEOS = 120
ANSWER_WITHIN = 60.0  # seconds; a hang is a failure


def workers(gateway: RunningGateway) -> set[str]:
    found = subprocess.run(
        ("pgrep", "-P", str(gateway.process.pid)), capture_output=True, text=True, check=True
    )
    return set(found.stdout.split())


def ask(gateway: RunningGateway, action: str, bodies: Iterable[bytes]) -> list[httpx.Response]:
    with httpx.Client(timeout=ANSWER_WITHIN) as client, ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda body: client.post(f"{gateway.url}/v1/{action}", content=body), bodies))


def test_damaged_pictures(serving: FakeServing) -> None:
    small = Image.open(io.BytesIO(jpeg(96, 64)))
    originals = [
        *(encoded(small, kind) for kind in ("JPEG", "PNG", "WEBP", "BMP")),
        encoded(small.quantize(16), "GIF"),
        encoded(small, "JPEG", progressive=True),
        encoded(small.convert("CMYK"), "JPEG"),
        encoded(small.convert("RGBA"), "PNG"),
    ]
    with running(serving.target, workers=2) as gateway:
        before = workers(gateway)
        answers = ask(gateway, "detect", mutated(originals, PICTURES))
        statuses = Counter(answer.status_code for answer in answers)
        print(f"\n{PICTURES} damaged pictures: {dict(statuses)}")
        assert set(statuses) <= {200, 400, 413, 415, 422}
        assert min(statuses[200], statuses[415], statuses[422]) > 20, "the corpus is of all sorts"
        for answer in answers:
            if answer.status_code != 200:
                assert answer.headers["Content-Type"] == "application/problem+json"
        assert workers(gateway) == before, "no worker was lost"


def test_bombs_and_polyglots(serving: FakeServing) -> None:
    bombs = [png_bomb(20_000), b"GIF89a\xff\xff\xff\xff" + bytes(100), jpeg() + b"<script>" + jpeg()]
    with running(serving.target, workers=1, max_pixels=4_000_000) as gateway:
        before = workers(gateway)
        first, second, third = ask(gateway, "detect", bombs)
        assert (first.status_code, first.json()["code"]) == (413, "too_many_pixels")
        assert second.status_code in {413, 422}
        assert third.status_code == 200
        large = httpx.post(f"{gateway.url}/v1/detect", content=bytes(30 * 2**20), timeout=ANSWER_WITHIN)
        assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
        assert workers(gateway) == before


def test_damaged_videos(serving: FakeServing, tmp_path: Path) -> None:
    originals = [
        write_video(tmp_path / "a.mp4", 12).read_bytes(),
        write_video(tmp_path / "b.webm", 12, "-c:v", "libvpx", "-deadline", "realtime").read_bytes(),
        write_video(tmp_path / "c.avi", 12, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p").read_bytes(),
    ]
    with running(serving.target, workers=2, max_videos=4) as gateway:
        before = workers(gateway)
        answers = ask(gateway, "detectVideo?every=4", mutated(originals, VIDEOS, seed=1))
        statuses = Counter(answer.status_code for answer in answers)
        ends = Counter(
            next(iter(json.loads(answer.text.splitlines()[-1])))
            for answer in answers
            if answer.status_code == 200
        )
        print(f"\n{VIDEOS} damaged videos: {dict(statuses)}, of which end with {dict(ends)}")
        assert set(statuses) <= {200, 413, 415}
        assert set(ends) <= {"summary", "error"}, "never with a line cut short"
        assert min(statuses[200], statuses[415]) > 10
        assert workers(gateway) == before
