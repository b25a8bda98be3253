"""Files as they come: sound, cut short, damaged, turned, of codecs that are not read."""

from __future__ import annotations

import os
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.videos import FPS, HEIGHT, WIDTH, needs_ffmpeg, number_of, undecodable, write_video

from sightline.errors import NotAVideoError, TooManyPixelsError
from sightline.video import FrameOptions, Video

FRAMES = 60


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("short") / "short.mp4", FRAMES)


def numbers(video: Video, options: FrameOptions | None = None) -> list[int]:
    return [number_of(frame.pixels) for frame in video.frames(options)]


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


def test_a_file_of_which_no_frame_can_be_decoded_is_no_video(tmp_path: Path) -> None:
    path = undecodable(write_video(tmp_path / "film.mp4", 30))
    with pytest.raises(NotAVideoError, match=r"no frame of .*film\.mp4 can be decoded.*\(h264\)"):
        Video(path)


def test_the_codec_that_is_not_read_is_named(tmp_path: Path) -> None:
    """FFmpeg within OpenCV knows AV1's containers and has no decoder for it."""
    path = write_video(
        tmp_path / "film.mp4", 30, "-c:v", "libaom-av1", "-cpu-used", "8", "-pix_fmt", "yuv420p"
    )
    with pytest.raises(NotAVideoError, match=r"\(AV01\) is not read here; H\.264 is"):
        Video(path)


@pytest.mark.parametrize("container", ["mkv", "mp4", "ts"])
def test_a_film_that_begins_late_is_no_longer_for_it(tmp_path: Path, container: str) -> None:
    """As a recorder cuts them: its clock goes on from one file to the next."""
    film = write_video(tmp_path / "film.mp4", 100)
    late = tmp_path / f"late.{container}"
    shift = ["-i", str(film), "-c", "copy", "-output_ts_offset", "100", str(late)]
    subprocess.run([needs_ffmpeg(), "-loglevel", "error", *shift], check=True, timeout=60)
    with Video(late) as video:
        assert [frame.time for frame in video.frames()][-1] == pytest.approx(99 / FPS)
        assert (video.info.duration, video.cut_short) == (pytest.approx(100 / FPS), None)


def test_the_cover_of_a_sound_is_one_picture_and_not_a_film_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    sources = ["-f", "lavfi", "-i", "sine=duration=30", "-f", "lavfi", "-i", "color=red:s=64x64:d=0.04"]
    made = ["-map", "0", "-map", "1", "-c:a", "aac", "-c:v", "mjpeg", "-disposition:v:0", "attached_pic"]
    subprocess.run([needs_ffmpeg(), "-loglevel", "error", *sources, *made, str(path)], check=True, timeout=60)
    with Video(path) as video:
        assert len(list(video.frames())) == 1
        assert (video.info.fps, video.cut_short) == (0, None)


@pytest.mark.parametrize(("turned", "aspect"), [(False, 64 / 45), (True, 45 / 64)])
def test_the_shape_of_pixels_is_told_as_they_are_shown(tmp_path: Path, turned: bool, aspect: float) -> None:
    path = write_video(tmp_path / "film.mp4", 3, "-vf", "setsar=64/45", "-pix_fmt", "yuv420p")
    if turned:
        lying, path = path, tmp_path / "turned.mp4"
        turn = ["-i", str(lying), "-c", "copy", "-metadata:s:v", "rotate=90", str(path)]
        subprocess.run([needs_ffmpeg(), "-loglevel", "error", *turn], check=True, timeout=60)
    with Video(path) as video:
        assert video.info.pixel_aspect == pytest.approx(aspect)
