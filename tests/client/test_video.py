from __future__ import annotations

import os
import subprocess
import tempfile
import tracemalloc
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from support.detectors import NumberReader
from support.fake_serving import fake_serving
from support.videos import FPS, HEIGHT, WIDTH, needs_ffmpeg, number_of, write_video

from sightline import Serving
from sightline.detections import ImageSize
from sightline.errors import InvalidOptionError, NotAVideoError, TooManyPixelsError, UnavailableError
from sightline.geometry import Fit, Stretch
from sightline.pipeline import detect_frames, in_order
from sightline.video import Frame, FrameOptions, Video

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


def numbers(video: Video, options: FrameOptions | None = None) -> list[int]:
    return [number_of(frame.pixels) for frame in video.frames(options)]


def test_serving_is_sent_the_first_frame_alone_and_then_several_together(short: Path) -> None:
    with fake_serving() as server, Serving(server.target, model="droids") as serving, Video(short) as video:
        records = list(detect_frames(serving, video.frames(FrameOptions(every=4)), in_flight=8))
    assert [record.frame for record in records] == list(range(0, FRAMES, 4))
    assert sorted(server.batches) == [1, 2, 4, 4, 4]  # two are under way, and arrive as they will


def test_the_frames_before_a_fault_are_answered_first(short: Path) -> None:
    def broken(video: Video) -> Iterator[Frame]:
        yield from islice(video.frames(), 4)
        raise NotAVideoError("damaged")

    with fake_serving() as server, Serving(server.target, model="droids") as serving, Video(short) as video:
        records = detect_frames(serving, broken(video), in_flight=6)
        assert [next(records).frame for _ in range(4)] == [0, 1, 2, 3]
        with pytest.raises(NotAVideoError, match="damaged"):
            next(records)


@pytest.mark.parametrize("resize", [Stretch(30, 50), Fit(100), Stretch(HEIGHT, WIDTH), Fit(WIDTH)])
def test_frames_that_are_resized_while_decoding_are_those_resized_afterwards(
    short: Path, resize: Stretch | Fit
) -> None:
    with Video(short) as video:
        whole = list(video.frames(FrameOptions(every=20)))
        small = list(video.frames(FrameOptions(every=20), resize))
    for one, other in zip(whole, small, strict=True):
        assert one.size is None and one.image is one.pixels
        np.testing.assert_array_equal(other.pixels, resize.apply(one.pixels))
        assert (other.image.width, other.image.height) == (WIDTH, HEIGHT)
        assert other.image.pixels is other.pixels


def test_serving_finds_the_same_in_frames_that_were_resized_as_it_said(short: Path) -> None:
    with fake_serving() as server, Serving(server.target, model="droids") as serving, Video(short) as video:
        whole = detect_frames(serving, video.frames(FrameOptions(every=20)))
        whole_results = [(record.time, record.result.image, record.result.detections) for record in whole]
        small = detect_frames(serving, video.frames(FrameOptions(every=20), serving.resize()))
        assert [
            (record.time, record.result.image, record.result.detections) for record in small
        ] == whole_results
    assert whole_results[0][1] == ImageSize(WIDTH, HEIGHT)
    assert whole_results[0][2]


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
def test_the_frames_that_are_asked_for(short: Path, options: FrameOptions, wanted: list[int]) -> None:
    with Video(short) as video:
        assert numbers(video, options) == wanted
        assert numbers(video, options) == wanted  # each call begins anew


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


def test_a_late_start_is_found_in_every_container(long: Path) -> None:
    """Seeks land early or late, at damaged frames or none; what comes out is what a full read gives."""
    with Video(long) as video:
        whole = [(frame.time, number_of(frame.pixels)) for frame in video.frames()]
        for start in (0.5, 21.0, 27.77, 35.9):
            rest = [
                (frame.time, number_of(frame.pixels)) for frame in video.frames(FrameOptions(start=start))
            ]
            assert rest == [(time, number) for time, number in whole if time >= start - 1e-6]


@pytest.mark.parametrize("fps", [None, 3])
def test_parts_join_without_a_seam(long: Path, fps: float | None) -> None:
    with Video(long) as video:
        whole = numbers(video, FrameOptions(fps=fps))
        cuts = [0.0, 21.0, 22.0, 35.0, None]
        parts = [numbers(video, FrameOptions(fps=fps, start=a or 0.0, end=b)) for a, b in pairwise(cuts)]
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


def test_what_is_no_video_is_said(short: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAVideoError, match="there is no file"):
        Video(tmp_path / "gone.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(NotAVideoError, match=r"text\.mp4 holds no video"):
        Video(tmp_path / "text.mp4")
    with pytest.raises(NotAVideoError):
        Video(short.read_bytes()[:3000])  # the index of an mp4 is at its end
    with pytest.raises(NotAVideoError, match="what was sent is empty"):
        Video(b"")
    with pytest.raises(TooManyPixelsError, match="320 x 240"):
        Video(short, max_pixels=1000)


def test_a_video_that_was_cut_short_says_so(tmp_path: Path) -> None:
    """With its index in front, what is there of a file is read as if it were all."""
    h264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-movflags", "+faststart")
    path = write_video(tmp_path / "film.mp4", 100, *h264)
    with Video(path) as video:
        assert len(numbers(video)) == 100 and video.cut_short is None
        assert numbers(video, FrameOptions(end=1)) and video.cut_short is None
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with Video(path) as video:
        assert 10 < len(numbers(video)) < 90
        assert (video.cut_short or "").endswith(" of 4.0 s; it may be cut short or damaged")
        assert numbers(video, FrameOptions(end=0.2)) and video.cut_short is None
        assert numbers(video, FrameOptions(start=3.5)) == [] and video.cut_short is not None


def test_a_film_of_a_turned_phone_is_upright(tmp_path: Path) -> None:
    lying = write_video(tmp_path / "lying.mp4", 3)
    turned = tmp_path / "turned.mp4"
    turn = ["-i", str(lying), "-c", "copy", "-metadata:s:v", "rotate=90", str(turned)]
    subprocess.run([needs_ffmpeg(), "-loglevel", "error", *turn], check=True, timeout=60)
    with Video(lying) as before, Video(turned) as after:
        assert (after.info.width, after.info.height) == (HEIGHT, WIDTH)
        flat, upright = (next(video.frames()).pixels.astype(int) for video in (before, after))
    assert min(abs(np.rot90(flat, turns) - upright).mean() for turns in (1, 3)) < 2


def test_a_sound_without_pictures_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "tone.mp4"
    tone = ["-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", str(path)]
    subprocess.run([needs_ffmpeg(), "-loglevel", "error", *tone], check=True, timeout=60)
    with pytest.raises(NotAVideoError):
        Video(path)


# --- the pipeline ---------------------------------------------------------------------------------


def test_records_keep_the_order_of_frames_though_later_ones_are_done_first(short: Path) -> None:
    detector = NumberReader(delay=0.002)
    with Video(short) as video:
        records = list(detect_frames(detector, video.frames(FrameOptions(every=2)), in_flight=3))
    assert [record.frame for record in records] == list(range(0, FRAMES, 2))
    assert [record.result.detections[0].score for record in records] == pytest.approx(
        [0.5 + record.frame % 50 / 100 for record in records]
    )
    assert 1 < detector.most_at_once <= 3


def test_no_more_frames_are_decoded_than_are_in_flight(short: Path) -> None:
    taken = 0

    def frames(video: Video) -> Iterator[Frame]:
        nonlocal taken
        for frame in video.frames():
            taken += 1
            yield frame

    with Video(short) as video:
        records = detect_frames(NumberReader(), frames(video), in_flight=4)
        for done in range(1, 11):
            next(records)
            assert taken <= done + 4
        records.close()  # type: ignore[attr-defined]
    assert taken < FRAMES


def test_memory_does_not_grow_with_the_video() -> None:
    """Two thousand frames of 300 KB pass through in a few of them."""
    pixels = np.zeros((320, 320, 3), np.uint8)

    def frames() -> Iterator[Frame]:
        for index in range(2000):
            yield Frame(index, index / 25, pixels.copy())

    tracemalloc.start()
    try:
        for _ in in_order(lambda frame: frame.index, frames(), 4):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * pixels.nbytes


def test_an_error_comes_after_the_records_before_it(short: Path) -> None:
    detector = NumberReader(fail_at=5, error=UnavailableError("Serving went away"))
    seen = []
    with Video(short) as video, pytest.raises(UnavailableError):
        seen.extend(record.frame for record in detect_frames(detector, video.frames()))
    assert seen == [0, 1, 2, 3, 4]


def test_frames_without_time_stamps_come_after_the_others(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.avi", FRAMES, "-c:v", "mpeg4", "-bf", "2")
    with Video(path) as video:
        times = [frame.time for frame in video.frames()]
        assert video.cut_short is None
    assert len(times) == FRAMES
    assert all(before < after for before, after in pairwise(times))


def test_what_comes_after_a_damaged_place_is_seen(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "film.mp4",
        240,
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-g",
        "12",
        "-pix_fmt",
        "yuv420p",
    )
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : third + len(data) // 10] = np.random.default_rng(1).bytes(len(data) // 10)
    path.write_bytes(data)
    with Video(path) as video:
        times = [frame.time for frame in video.frames()]
        promised = video.info.duration
        assert promised is not None
        assert video.cut_short is None
    assert times[-1] > promised - 0.5


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"lat\xe9.mp4")
    path.write_bytes(b"film")
    with pytest.raises(NotAVideoError, match="not UTF-8; rename it"):
        Video(path)
