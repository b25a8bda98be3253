"""Which frames come out of a video, and with which times."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.videos import FPS, HEIGHT, WIDTH, number_of, write_video

from sightline.errors import InvalidOptionError
from sightline.geometry import Fit, Stretch
from sightline.video import FrameOptions, Video

FRAMES = 60
LONG = 900  # frames, 36 seconds: long enough for a start that is worth a seek


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("short") / "short.mp4", FRAMES)


# Only the most awkward one is quick enough for every run.
ENCODERS = {
    "b-frames.mp4": ("-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "48", "-pix_fmt", "yuv420p"),
    "varying-rate.mp4": (
        *("-vf", "select=not(mod(n\\,3))+lt(n\\,50)", "-fps_mode", "vfr"),
        *("-c:v", "libx264", "-preset", "veryfast", "-g", "30", "-pix_fmt", "yuv420p"),
    ),
    "no-index.ts": ("-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "48", "-pix_fmt", "yuv420p"),
    "motion-jpeg.avi": ("-c:v", "mjpeg", "-q:v", "3"),
}


@pytest.fixture(
    scope="module",
    params=[
        name if name == "varying-rate.mp4" else pytest.param(name, marks=pytest.mark.slow)
        for name in ENCODERS
    ],
)
def long(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / request.param
    return write_video(path, LONG, *ENCODERS[request.param])


# Frames that are resized are decoded in another way.
both_ways = pytest.mark.parametrize("resize", [None, Stretch(HEIGHT // 2, WIDTH)], ids=["whole", "resized"])


def numbers(video: Video, options: FrameOptions | None = None, resize: Stretch | None = None) -> list[int]:
    return [number_of(frame.pixels) for frame in video.frames(options, resize)]


@pytest.mark.parametrize("resize", [Stretch(30, 50), Fit(100), Stretch(HEIGHT, WIDTH), Fit(WIDTH)])
def test_frames_that_are_resized_while_decoding_are_those_resized_afterwards(
    short: Path, resize: Stretch | Fit
) -> None:
    with Video(short) as video:
        whole = list(video.frames(FrameOptions(every=20)))
        small = list(video.frames(FrameOptions(every=20), resize))
    for one, other in zip(whole, small, strict=True):
        assert one.size is None and one.image is one.pixels
        assert other.pixels.shape == resize.apply(one.pixels).shape
        assert np.abs(other.pixels - resize.apply(one.pixels).astype(int)).mean() < 2
        assert (other.image.width, other.image.height) == (WIDTH, HEIGHT)
        assert other.image.pixels is other.pixels


def test_frames_come_in_order_with_their_times(short: Path) -> None:
    with Video(short) as video:
        frames = list(video.frames())
        assert (video.info.width, video.info.height, video.info.fps) == (WIDTH, HEIGHT, FPS)
        assert video.info.duration == pytest.approx(FRAMES / FPS)
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert [number_of(frame.pixels) for frame in frames] == list(range(FRAMES))
    assert [frame.time for frame in frames] == pytest.approx([n / FPS for n in range(FRAMES)])
    assert frames[0].pixels.shape == (HEIGHT, WIDTH, 3)
    red, green, blue = frames[0].pixels[150, 20].tolist()
    assert red > 180 and green < 80 and blue < 80


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (FrameOptions(every=7), list(range(0, FRAMES, 7))),
        (FrameOptions(fps=5), list(range(0, FRAMES, 5))),
        (
            FrameOptions(fps=10),
            [0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25, 28, 30, 33, 35, 38, 40, 43, 45, 48, 50, 53, 55, 58],
        ),
        (FrameOptions(fps=1000), list(range(FRAMES))),
        (FrameOptions(start=1, end=1.2), [25, 26, 27, 28, 29]),
        (FrameOptions(start=1, end=2, every=10), [25, 35, 45]),
        (FrameOptions(start=1.02, end=1.1), [26, 27]),
        (FrameOptions(start=100), []),
    ],
)
@both_ways
def test_the_frames_that_are_asked_for(
    short: Path, options: FrameOptions, wanted: list[int], resize: Stretch | None
) -> None:
    with Video(short) as video:
        assert numbers(video, options, resize) == wanted
        assert numbers(video, options, resize) == wanted  # each call begins anew
        assert numbers(video, options) == wanted  # in whichever way


def test_a_video_from_bytes_and_open_files(short: Path) -> None:
    with Video(short.read_bytes()) as video:
        assert numbers(video) == list(range(FRAMES))
    with short.open("rb") as file, Video(file) as video:
        assert numbers(video) == list(range(FRAMES))
    with tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(short.read_bytes())
        spooled.seek(0)
        with Video(spooled) as video:  # type: ignore[arg-type]
            assert numbers(video) == list(range(FRAMES))


@both_ways
def test_a_late_start_is_found_in_every_container(long: Path, resize: Stretch | None) -> None:
    """Seeks land early or late, at damaged frames or none; what comes out is what a full read gives."""
    with Video(long) as video:
        whole = [(frame.time, number_of(frame.pixels)) for frame in video.frames()]
        for start in (0.5, 21.0, 27.77, 35.9):
            options = FrameOptions(start=start)
            rest = [(frame.time, number_of(frame.pixels)) for frame in video.frames(options, resize)]
            assert rest == [(time, number) for time, number in whole if time >= start - 1e-6]


@pytest.mark.parametrize("fps", [None, 3])
@both_ways
def test_parts_join_without_a_seam(long: Path, fps: float | None, resize: Stretch | None) -> None:
    with Video(long) as video:
        whole = numbers(video, FrameOptions(fps=fps), resize)
        cuts = [0.0, 21.0, 22.0, 35.0, None]
        parts = [
            numbers(video, FrameOptions(fps=fps, start=a or 0.0, end=b), resize) for a, b in pairwise(cuts)
        ]
    assert [number for part in parts for number in part] == whole


@pytest.mark.parametrize(
    "fault",
    [
        {"fps": 0},
        {"fps": float("nan")},
        {"every": 0},
        {"fps": 1, "every": 2},
        {"start": -1},
        {"start": 2, "end": 2},
    ],
)
def test_impossible_options_are_refused(fault: dict[str, float]) -> None:
    with pytest.raises(InvalidOptionError, match=next(iter(fault))):
        FrameOptions(**fault)  # type: ignore[arg-type]
