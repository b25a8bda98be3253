"""A video with its boxes drawn on: in step, in shape, whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from support.videos import FPS, needs_ffmpeg, number_of, write_video

from sightline.annotated_video import annotate
from sightline.detections import Detection, ImageSize, ModelVersion
from sightline.detections import Result as Found
from sightline.errors import InvalidOptionError
from sightline.frame_result import FrameResult
from sightline.video import FrameOptions, Video

FRAMES = 50


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "film.mp4", FRAMES, sound=True)


def record(frame: int, left: float, track: int | None = None) -> FrameResult:
    size = ImageSize(320, 240)
    found = Detection.make("R2-D2", 2, 0.9, (0.5, left, 0.8, left + 0.2), size)
    return FrameResult(frame, frame / FPS, Found("", ModelVersion("m", 1), size, (found,)), (track,))


@pytest.mark.parametrize("program", ["ffmpeg", "opencv"])
def test_a_varying_rate_keeps_its_time(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other frame is missing in the second half; in the drawn video its neighbour stands in."""
    source = write_video(
        *(tmp_path / "varying.mp4", 100, "-vf", "select=lt(n\\,50)+not(mod(n\\,2))"),
        *("-fps_mode", "vfr", "-pix_fmt", "yuv420p"),
    )
    if program == "opencv":
        monkeypatch.setenv("PATH", "")  # so that no ffmpeg is found
    out = tmp_path / "out.mp4"
    annotate(source, [record(0, 0.1, 7)], out, FrameOptions())
    with Video(out) as after:
        times = {number_of(frame.pixels): frame.time for frame in after.frames()}
    assert max(abs(time - number / FPS) for number, time in times.items()) < 3 / FPS


@pytest.mark.parametrize("turned", [False, True])
def test_the_drawn_video_is_shown_in_the_shape_of_the_source(tmp_path: Path, turned: bool) -> None:
    """Recordings of television have pixels that are wider than they are high, turned or not."""
    source = write_video(tmp_path / "film.mp4", 3, "-vf", "setsar=64/45", "-pix_fmt", "yuv420p")
    if turned:
        lying, source = source, tmp_path / "turned.mp4"
        turn = ["-i", str(lying), "-c", "copy", "-metadata:s:v", "rotate=90", str(source)]
        subprocess.run([needs_ffmpeg(), "-loglevel", "error", *turn], check=True, timeout=60)
    out = tmp_path / "out.mp4"
    annotate(source, [], out, FrameOptions())
    with Video(out) as after, Video(source) as before:
        assert (after.info.width, after.info.height) == (before.info.width, before.info.height)
        assert after.info.pixel_aspect == pytest.approx(before.info.pixel_aspect)
        assert after.info.pixel_aspect != 1


def test_another_kind_of_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match=r"\.mp4"):
        annotate(tmp_path / "gone.mp4", [], tmp_path / "out.gif", FrameOptions())


def test_what_ffmpeg_cannot_write_is_said(video: Path, tmp_path: Path) -> None:
    """A limit of 4 KiB on the size of a file stands in for the full disk."""
    script = (
        "import resource, signal, sys; from pathlib import Path;"
        "from sightline.annotated_video import annotate; from sightline.video import FrameOptions;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "annotate(Path(sys.argv[1]), [], Path(sys.argv[2]), FrameOptions())"
    )
    command = [sys.executable, "-c", script, str(video), str(tmp_path / "out.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and "OSError: ffmpeg: " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_boxes_follow_their_records(tmp_path: Path) -> None:
    """With the first record at frame 0 and the next at frame 20, frames 0 to 19 bear the first one's box."""
    source = write_video(tmp_path / "film.mp4", 40)
    out = tmp_path / "out.mp4"
    annotate(source, [record(0, 0.1), record(20, 0.6)], out, FrameOptions())
    with Video(out) as after, Video(source) as before:
        changed = [
            cv2.absdiff(a.pixels, b.pixels)[120:192].max(axis=(0, 2)) > 90
            for a, b in zip(after.frames(), before.frames(), strict=True)
        ]
    left = [columns[30:100].any() and not columns[190:260].any() for columns in changed]
    assert left == [True] * 20 + [False] * 20
