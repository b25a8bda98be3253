"""Frames that are resized before they are made RGB are those that OpenCV's capture gives."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.videos import WIDTH, needs_ffmpeg, write_video

from sightline import ffmpeg, video_capture
from sightline.errors import NotAVideoError
from sightline.geometry import Fit, Stretch
from sightline.planar_capture import PlanarCapture
from sightline.video import Frame, FrameOptions, Video

FRAMES = 40
H264 = ("-c:v", "libx264", "-preset", "ultrafast")
# Containers with and without time stamps, codecs that give other pixels than planes of YUV 4:2:0, odd sides.
ENCODERS = {
    "b-frames.mp4": (*H264, "-bf", "3", "-pix_fmt", "yuv420p"),
    "late.ts": (*H264, "-pix_fmt", "yuv420p", "-output_ts_offset", "5"),
    "b-frames.avi": ("-c:v", "mpeg4", "-bf", "2"),
    "motion-jpeg.avi": ("-c:v", "mjpeg", "-pix_fmt", "yuvj422p"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"),
    "varying-rate.mkv": (*H264, "-vf", "select=not(mod(n\\,3))", "-vsync", "vfr", "-pix_fmt", "yuv420p"),
    "odd.mkv": ("-c:v", "ffv1", "-vf", "scale=321:181", "-pix_fmt", "yuv420p"),
    "full-range.mp4": (*H264, "-pix_fmt", "yuvj420p"),
    "not-halved.mp4": (*H264, "-pix_fmt", "yuv444p"),
    "ten-bits.mp4": (*H264, "-pix_fmt", "yuv420p10le"),
    "grey.mkv": ("-c:v", "ffv1", "-pix_fmt", "gray"),
    "moving.gif": ("-c:v", "gif"),
}


@pytest.fixture(autouse=True)
def known() -> None:
    """Where OpenCV is a wheel's; if this fails, compare ffmpeg.py with the FFmpeg of the OpenCV in use."""
    if sys.platform != "linux":
        pytest.skip("OpenCV's wheels bring FFmpeg's libraries as files on Linux alone")
    assert ffmpeg.bundled() is not None


def taken(path: Path, resize: Stretch | Fit, options: FrameOptions | None = None) -> list[Frame]:
    with Video(path) as video:
        return list(video.frames(options, resize))


def alike(path: Path, resize: Stretch | Fit, options: FrameOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    found = taken(path, resize, options)
    with monkeypatch.context() as without:
        without.setattr(video_capture, "bundled", lambda: None)
        expected = taken(path, resize, options)
    told = [[(frame.index, frame.time, frame.size) for frame in frames] for frames in (found, expected)]
    assert told[0] == told[1] and expected
    for one, other in zip(found, expected, strict=True):
        assert one.pixels.shape == other.pixels.shape and one.pixels.flags.c_contiguous
        assert np.abs(one.pixels - other.pixels.astype(int)).mean() < 3, one.index


@pytest.mark.parametrize("name", ENCODERS)
def test_every_kind_of_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / name, FRAMES, *ENCODERS[name])
    for resize in (Stretch(150, 200), Stretch(151, 199), Fit(100), Fit(WIDTH)):
        for options in (FrameOptions(), FrameOptions(start=0.5, end=1.1, every=2)):
            alike(path, resize, options, monkeypatch)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_film(degrees: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lying, turned = write_video(tmp_path / "lying.mp4", FRAMES), tmp_path / "turned.mp4"
    turn = ["-i", str(lying), "-c", "copy", "-metadata:s:v", f"rotate={degrees}", str(turned)]
    subprocess.run([needs_ffmpeg(), "-loglevel", "error", *turn], check=True, timeout=60)
    for resize in (Stretch(90, 160), Fit(100)):
        alike(turned, resize, FrameOptions(), monkeypatch)


def test_frames_that_are_kept_are_not_written_over(tmp_path: Path) -> None:
    """FFmpeg's memory holds the next frame already when one is looked at."""
    for name in ("b-frames.mp4", "not-halved.mp4"):
        path = write_video(tmp_path / name, FRAMES, *ENCODERS[name])
        for resize in (Fit(WIDTH), Stretch(120, 160)):
            with Video(path) as video:
                frames = [(frame, frame.pixels.copy()) for frame in video.frames(resize=resize)]
            for frame, pixels in frames:
                np.testing.assert_array_equal(frame.pixels, pixels)


def test_what_it_cannot_open_is_left_to_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = ffmpeg.bundled()
    assert library is not None
    (tmp_path / "text.mp4").write_text("no video")
    for name in ("text.mp4", "gone.mp4"):
        with pytest.raises(OSError, match="FFmpeg fails with -"):
            PlanarCapture(library, str(tmp_path / name), Fit(100))
    path = write_video(tmp_path / "film.mp4", 5)

    def fail(*arguments: object) -> None:
        raise OSError("FFmpeg fails")

    monkeypatch.setattr(video_capture, "PlanarCapture", fail)
    assert len(taken(path, Fit(100))) == 5


def test_another_ffmpeg_is_not_called(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="holds no avutil of version"):
        ffmpeg.Ffmpeg(tmp_path)
    (tmp_path / "libavutil-1234.so.60.1.100").write_text("no library")
    with pytest.raises(OSError):
        ffmpeg.Ffmpeg(tmp_path)


def test_a_closed_one_gives_nothing_more(tmp_path: Path) -> None:
    library = ffmpeg.bundled()
    assert library is not None
    path = write_video(tmp_path / "film.mp4", 5)
    capture = PlanarCapture(library, str(path), Fit(100))
    assert capture.grab()
    capture.release()
    capture.release()
    assert not capture.grab()
    with pytest.raises(ValueError, match="NULL"):
        capture.read()


def test_no_file_may_name_another(tmp_path: Path) -> None:
    """A list of parts would make the decoder read files, or ask hosts, of the sender's choice."""
    library = ffmpeg.bundled()
    assert library is not None
    secret = write_video(tmp_path / "secret.mp4", 5)
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile 'http://127.0.0.1:9/{secret.name}'\n")
    with pytest.raises(OSError, match="FFmpeg fails"):
        PlanarCapture(library, str(tmp_path / "list.mp4"), Fit(100))


def test_memory_is_given_back(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.mp4", 5)
    taken(path, Stretch(300, 300))

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB

    for _ in range(10):
        taken(path, Stretch(300, 300))
    before = peak()
    for _ in range(60):
        taken(path, Stretch(300, 300))
    assert peak() - before < 20_000


@pytest.mark.parametrize("name", ["b-frames.mp4", "late.ts", "motion-jpeg.avi"])
def test_damaged_files_end_in_order(name: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / name, FRAMES, *ENCODERS[name])
    sound, chance = path.read_bytes(), np.random.default_rng(7)
    for _ in range(10):
        data = bytearray(sound)
        for at in chance.integers(2000, len(data), 60):
            data[at] = chance.integers(256)
        path.write_bytes(data[: chance.integers(len(data) // 2, len(data))])
        try:
            with Video(path) as video:
                times = [frame.time for frame in video.frames(resize=Stretch(100, 100))]
        except NotAVideoError:
            continue
        assert len(times) <= 2 * FRAMES and times == sorted(times)
