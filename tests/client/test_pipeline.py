"""Frames on their way through a detector: in order, several at once, in bounded memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from support.detectors import NumberReader
from support.fake_serving import fake_serving
from support.videos import HEIGHT, WIDTH, write_video

from sightline import Serving
from sightline.detections import ImageSize
from sightline.errors import NotAVideoError, UnavailableError
from sightline.pipeline import detect_frames, in_order
from sightline.video import Frame, FrameOptions, Video

FRAMES = 60


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("short") / "short.mp4", FRAMES)


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
