from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.live_sources import mjpeg_server, rtsp_server
from support.videos import number_of, numbered_frames, write_video

from sightline.errors import InvalidOptionError, StreamError
from sightline.rotating_lines import RotatingLines
from sightline.stream import Pace, Stream, StreamOptions, without_password

QUICK = StreamOptions(start_timeout=20, read_timeout=5, first_backoff=0.01, max_backoff=0.05)


class FakeCapture:
    """A camera that gives numbered frames when it is told to, and then breaks off."""

    def __init__(self, frames: int, *, opens: bool = True, pause: float = 0.0) -> None:
        self._frames = itertools.islice(numbered_frames(frames), frames)
        self._opens, self._pause = opens, pause
        self._now: Any = None

    def isOpened(self) -> bool:  # noqa: N802
        return self._opens

    def grab(self) -> bool:
        time.sleep(self._pause)
        self._now = next(self._frames, None)
        return self._now is not None

    def retrieve(self) -> tuple[bool, Any]:
        return True, np.ascontiguousarray(self._now[:, :, ::-1])

    def release(self) -> None:
        pass


def stream(*captures: FakeCapture, options: StreamOptions = QUICK) -> Stream:
    """Gives each capture once, and then none that opens."""
    coming = iter(captures)
    return Stream("camera:9", options, opener=lambda: next(coming, FakeCapture(0, opens=False)))  # type: ignore[arg-type,return-value]


def test_frames_come_newest_first_and_what_was_missed_is_counted() -> None:
    with stream(FakeCapture(40, pause=0.005)) as source:
        frames = source.frames()
        first = next(frames)
        assert (first.index, number_of(first.pixels)) == (0, 0)
        while source.counts.received < 40:
            time.sleep(0.01)
        last = next(frames)
        assert (last.index, number_of(last.pixels)) == (39, 39)
        counts = source.counts
    assert counts.taken == 2
    assert counts.dropped == 38
    assert last.time >= first.time > 1.6e9


def test_a_cut_line_is_connected_anew_until_it_is_closed() -> None:
    gone = FakeCapture(0, opens=False)
    with stream(FakeCapture(3), gone, gone, FakeCapture(2), FakeCapture(4)) as source:
        for _ in source.frames():
            if source.counts.received == 9:
                source.close()
        counts = source.counts
    assert counts.connections == 3
    assert counts.received == 9 == counts.taken + counts.dropped


def test_a_stream_that_never_starts_is_an_error() -> None:
    options = StreamOptions(start_timeout=0.1, first_backoff=0.01)
    with (
        stream(options=options) as source,
        pytest.raises(StreamError, match=r"camera 9 gave no frame within 0\.1"),
    ):
        next(source.frames())


def test_no_more_frames_than_asked_for_are_looked_at() -> None:
    """Of 50 frames in half a second, at most 10 per second: five, and one that was at hand."""
    with stream(FakeCapture(50, pause=0.01), options=StreamOptions(fps=10, first_backoff=0.01)) as source:
        seen = []
        for frame in source.frames():
            seen.append(frame.index)
            if source.counts.received >= 40:
                source.close()
        counts = source.counts
    assert counts.skipped > counts.taken + counts.dropped
    assert counts.received - counts.skipped - counts.dropped - counts.taken in (0, 1)


def moments(fps: float, *stretches: tuple[float, int]) -> list[float]:
    """Seconds at which frames are looked at, of stretches of so many frames, each so long after the last."""
    pace, now, wanted = Pace(fps), 1000.0, []
    for pause, count in stretches:
        for _ in range(count):
            if pace.wants(now):
                wanted.append(round(now - 1000, 6))
            now += pause
    return wanted


def test_the_pace_is_kept_from_the_first_frame_on() -> None:
    assert moments(10, (0.04, 11)) == pytest.approx([0, 0.12, 0.2, 0.32, 0.4])
    assert moments(2, (0.04, 50)) == pytest.approx([0, 0.48, 0.96, 1.48, 1.96])


def test_nothing_is_made_up_for_after_a_pause() -> None:
    assert moments(10, (0.05, 4), (5, 1), (0.05, 5)) == pytest.approx([0, 0.1, 0.2, 5.2, 5.3, 5.4])


@pytest.mark.parametrize("pause", [0.1, 0.11, 0.15, 0.3])
def test_a_source_that_is_slower_than_asked_is_looked_at_in_full(pause: float) -> None:
    assert len(moments(10, (pause, 100))) == pytest.approx(100, abs=1)


def test_a_pace_of_none_wants_all() -> None:
    pace = Pace(None)
    assert all(pace.wants(now) for now in (0.0, 0.0, 1.0))


def test_closing_from_another_thread_ends_the_frames() -> None:
    with stream(FakeCapture(1)) as source:
        frames = source.frames()
        next(frames)
        threading.Timer(0.05, source.close).start()
        assert list(frames) == []


@pytest.mark.parametrize("address", ["film.mp4", "ftp://camera/1", "concat:a|b", ""])
def test_what_is_no_stream_is_refused(address: str) -> None:
    with pytest.raises(InvalidOptionError, match="rtsp://"):
        Stream(address)


@pytest.mark.parametrize("fault", [{"fps": 0}, {"read_timeout": 0}, {"max_backoff": -1}])
def test_impossible_options_are_refused(fault: dict[str, float]) -> None:
    with pytest.raises(InvalidOptionError, match=next(iter(fault))):
        StreamOptions(**fault)


def test_passwords_are_not_shown() -> None:
    assert without_password("rtsp://joe:secret@camera:554/1") == "rtsp://joe:***@camera:554/1"
    assert Stream("rtsp://joe:secret@camera/1").name == "rtsp://joe:***@camera/1"
    assert without_password("rtsp://camera/1") == "rtsp://camera/1"


def test_a_camera_is_named_as_one() -> None:
    assert Stream("0").name == Stream("camera:0").name == "camera 0"


def test_motion_jpeg_over_http_is_read_through_cuts() -> None:
    with mjpeg_server(cut_after=5) as address, Stream(address, QUICK) as source:
        seen = set()
        for frame in source.frames():
            seen.add(number_of(frame.pixels))
            if source.counts.connections >= 3:
                source.close()
        assert seen <= set(range(5)) and seen


@pytest.mark.slow
def test_rtsp_is_read_through_the_loss_of_its_server(tmp_path: Path) -> None:
    film = write_video(
        tmp_path / "film.mp4", 200, *("-c:v", "libx264", "-g", "10", "-bf", "0", "-pix_fmt", "yuv420p")
    )
    with rtsp_server(film) as address:
        source = Stream(address, QUICK)
        frames = source.frames()
        numbers = [number_of(next(frames).pixels) for _ in range(20)]
    assert numbers == sorted(numbers) and len(set(numbers)) == 20
    port = int(address.split(":")[2].split("/")[0])
    with source, rtsp_server(film, port=port):
        while source.counts.connections < 2:
            next(frames)
        after = [number_of(next(frames).pixels) for _ in range(20)]
        assert len(set(after)) >= 19 and max(after) < 200


# --- rotating lines -------------------------------------------------------------------------------


def test_lines_are_put_aside_when_the_file_is_full_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "lines.ndjson"
    with RotatingLines(path, max_bytes=100, keep=2) as lines:
        for number in range(50):
            lines.write(b'{"n": %02d}' % number)
    assert sorted(item.name for item in tmp_path.iterdir()) == [
        "lines.ndjson",
        "lines.ndjson.1",
        "lines.ndjson.2",
    ]
    kept = "".join(
        (tmp_path / name).read_text() for name in ["lines.ndjson.2", "lines.ndjson.1", "lines.ndjson"]
    )
    numbers = [int(line[6:8]) for line in kept.splitlines()]
    assert numbers == list(range(numbers[0], 50)) and len(numbers) > 20
    assert all(item.stat().st_size <= 100 for item in tmp_path.iterdir())


def test_what_a_killed_run_left_of_a_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "lines.ndjson"
    path.write_bytes(b'{"n": 1}\n{"n": ')
    with RotatingLines(path, max_bytes=10**6, keep=1) as lines:
        lines.write(b'{"n": 3}')
    assert path.read_text().splitlines() == ['{"n": 1}', '{"n": ', '{"n": 3}']


def test_a_disk_that_is_full_is_an_error_and_leaves_no_half_line(tmp_path: Path) -> None:
    """A limit of 1000 bytes on the size of a file stands in for it."""
    script = (
        "import resource, signal, sys; from pathlib import Path;"
        "from sightline.rotating_lines import RotatingLines;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "lines = RotatingLines(Path(sys.argv[1]), max_bytes=10**6, keep=1);"
        "[lines.write(b'x' * 299) for _ in range(9)]"
    )
    path = tmp_path / "lines.ndjson"
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and f"File too large: '{path}'" in done.stderr
    assert path.read_bytes() == (b"x" * 299 + b"\n") * 3


def test_a_pipe_is_never_put_aside(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with RotatingLines(pipe, max_bytes=10, keep=1) as lines:
        lines.write(b"one line")
        lines.write(b"and another")
        with pipe.open("rb") as reader:
            assert reader.readline() == b"one line\n"
    assert [item.name for item in tmp_path.iterdir()] == ["pipe"]


def test_a_disk_that_is_full_is_an_error() -> None:
    with (
        pytest.raises(OSError, match="No space left"),
        RotatingLines(Path("/dev/full"), max_bytes=0, keep=1) as lines,
    ):
        lines.write(b"{}")
