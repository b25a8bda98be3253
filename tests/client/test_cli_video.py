from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.fake_serving import FakeServing, fake_serving
from support.tools import tool
from support.videos import FPS, number_of, undecodable, write_video

from sightline.cli import main, progress
from sightline.cli.exits import Exit
from sightline.video import Video

FRAMES = 50


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServing]:
    with fake_serving() as running:
        yield running


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "film.mp4", FRAMES, sound=True)


def sightline(server: FakeServing, *arguments: object, stdin: bytes | None = None) -> Result:
    way = ("--serving", server.target, "--model", "droids")
    return CliRunner().invoke(main, ["video", *way, *map(str, arguments)], input=stdin)


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def streams(path: Path) -> dict[str, float]:
    """Kind of stream -> its length in seconds, as ffprobe sees it."""
    probe = tool("ffprobe")
    asked = ("-v", "error", "-show_entries", "stream=codec_type,duration", "-of", "json")
    told = subprocess.run([probe, *asked, str(path)], capture_output=True, check=True, timeout=60)
    return {item["codec_type"]: float(item["duration"]) for item in json.loads(told.stdout)["streams"]}


def test_a_line_per_frame_then_a_summary(server: FakeServing, video: Path) -> None:
    result = sightline(server, video, "--fps", 5)
    assert result.exit_code == Exit.OK, result.stderr
    *records, summary = lines(result.stdout)
    assert [record["frame"] for record in records] == list(range(0, FRAMES, 5))
    assert records[1]["time"] == pytest.approx(0.2)
    assert summary == {"summary": {"frames": 10, "time": 1.8, "detections": {"R2-D2": 10}}}


def test_a_video_from_standard_input(server: FakeServing, video: Path) -> None:
    result = sightline(server, "-", "--every", 25, stdin=video.read_bytes())
    assert [record.get("frame") for record in lines(result.stdout)] == [0, 25, None]


def test_the_drawn_video_has_every_frame_its_boxes_and_the_sound(
    server: FakeServing, video: Path, tmp_path: Path
) -> None:
    drawn, out = tmp_path / "drawn.mp4", tmp_path / "lines.ndjson"
    result = sightline(server, video, "--fps", 5, "--draw", drawn, "--out", out)
    assert result.exit_code == Exit.OK, result.stderr
    assert len(lines(out.read_text())) == 11
    assert streams(drawn) == pytest.approx({"video": FRAMES / FPS, "audio": FRAMES / FPS}, abs=0.1)
    with Video(drawn) as after, Video(video) as before:
        frames = list(zip(after.frames(), before.frames(), strict=True))
    assert [number_of(frame.pixels) for frame, _ in frames] == list(range(FRAMES))
    # The fake's box runs from 0.2 to 0.5 across and 0.1 to 0.6 down: its lower edge is on every frame.
    edge = [abs(a.pixels[144, 70:150].astype(int) - b.pixels[144, 70:150]).mean() for a, b in frames]
    assert min(edge) > 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn.mp4", "lines.ndjson"]


def test_a_part_of_the_video_is_drawn_with_its_part_of_the_sound(
    server: FakeServing, video: Path, tmp_path: Path
) -> None:
    drawn = tmp_path / "part.mp4"
    assert sightline(server, video, "--start", 0.4, "--end", 1.2, "--draw", drawn).exit_code == Exit.OK
    assert streams(drawn) == pytest.approx({"video": 0.8, "audio": 0.8}, abs=0.1)
    with Video(drawn) as after:
        assert [number_of(frame.pixels) for frame in after.frames()] == list(range(10, 30))


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("gone.mp4",), Exit.SOME_FAILED, "there is no file"),
        ((".",), Exit.SOME_FAILED, "is a folder; name a video in it"),
        (("film.mp4", "--out", "/gone/folder/x.ndjson"), Exit.USAGE, "there is no folder /gone/folder"),
        (("-", "--draw", "x.mp4"), Exit.USAGE, "reads the video twice"),
        (("film.mp4", "--draw", "x.gif"), Exit.USAGE, "end in one of .mp4"),
        (("film.mp4", "--draw", "/gone/folder/x.mp4"), Exit.USAGE, "there is no folder /gone/folder"),
        (("film.mp4", "--fps", "1", "--every", "2"), Exit.USAGE, "not both"),
        (("film.mp4", "--start", "5", "--end", "1"), Exit.USAGE, "after start"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_code(
    server: FakeServing, arguments: tuple[str, ...], code: Exit, says: str
) -> None:
    result = sightline(server, *arguments)
    assert (result.exit_code, says in result.stderr) == (code, True)


@pytest.mark.parametrize(
    ("until", "says"), [((), "from 50 s on"), (("--end", 51), "50 s on and before 51 s")]
)
def test_a_stretch_without_frames_is_said_and_not_drawn(
    server: FakeServing, video: Path, tmp_path: Path, until: tuple[object, ...], says: str
) -> None:
    result = sightline(server, video, "--start", 50, *until, "--draw", tmp_path / "drawn.mp4")
    assert (result.exit_code, says in result.stderr) == (Exit.SOME_FAILED, True)
    assert lines(result.stdout) == [{"summary": {"frames": 0, "time": 0.0, "detections": {}}}]
    assert list(tmp_path.iterdir()) == []


def test_a_video_of_which_no_frame_can_be_decoded_is_said_to_be_none(
    server: FakeServing, tmp_path: Path
) -> None:
    film = undecodable(write_video(tmp_path / "film.mp4", 30))
    result = sightline(server, film, "--out", tmp_path / "lines.ndjson")
    assert result.exit_code == Exit.SOME_FAILED
    assert f"no frame of {film} can be decoded" in result.stderr
    assert list(tmp_path.iterdir()) == [film]


def test_a_video_that_was_cut_short_is_read_as_far_as_it_goes_in_our_words_alone(
    server: FakeServing, tmp_path: Path
) -> None:
    """In a process of its own, as FFmpeg would write past Python's streams what it thinks of the file."""
    whole = write_video(
        tmp_path / "film.mp4", 100, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart"
    )
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    way = ("--serving", server.target, "--model", "droids")
    command = [sys.executable, "-m", "sightline.cli", "video", str(whole), *way]
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=quiet)
    assert done.returncode == Exit.OK
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"{whole}: the pictures end at ") and said.endswith("cut short or damaged")
    *records, last = lines(done.stdout)
    assert len(records) > 10
    assert said == f"{whole}: {last['summary']['warning']}"  # type: ignore[index]


def test_the_frames_in_flight_are_all_the_parallelism(server: FakeServing, video: Path) -> None:
    """OpenCV's own threads would contend with them. In a process of its own, as it holds for all of it."""
    script = (
        "import sys, cv2; from contextlib import suppress; from sightline.cli import main\n"
        "before = cv2.getNumThreads()\n"
        "with suppress(SystemExit): main(sys.argv[1:])\n"
        "print(before > 1, cv2.getNumThreads())"
    )
    way = ["video", str(video), "--serving", server.target, "--model", "droids", "--every", "25"]
    command = [sys.executable, "-c", script, *way]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] in ("True 1", "False 1")  # the latter on a machine of one core


def test_in_a_pipe_progress_is_plain_lines(
    server: FakeServing, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_PLAIN_INTERVAL", 0.0)
    drawn = tmp_path / "drawn.mp4"
    result = sightline(server, video, "--every", 25, "--draw", drawn)
    assert result.stderr.splitlines() == [
        *(f"{path}: {seconds} of 2 seconds" for path in (video, drawn) for seconds in (0, 1))
    ]
    assert len(lines(result.stdout)) == 3


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no folder that nobody can write to")
def test_a_folder_that_cannot_be_written_to_is_said_before_any_frame_is_looked_at(
    server: FakeServing, video: Path
) -> None:
    before = server.predicts
    result = sightline(server, video, "--draw", "/proc/self/drawn.mp4")
    assert result.exit_code == Exit.LOCAL_FILE
    assert "/proc/self/drawn.mp4" in result.stderr
    assert (result.stdout, server.predicts) == ("", before)


def test_lines_stay_though_the_drawn_video_could_not_be_written(
    server: FakeServing, video: Path, tmp_path: Path
) -> None:
    """Files may have 24 KiB here: room for the lines of two frames, not for a video."""
    way = ("--serving", server.target, "--model", "droids", "--every", "25")
    out = ("--out", "lines.ndjson", "--draw", "drawn.mp4")
    limited = ["bash", "-c", 'ulimit -f 24; exec "$@"', "bash"]
    command = [*limited, sys.executable, "-m", "sightline.cli", "video", str(video), *way, *out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == Exit.LOCAL_FILE
    assert done.stderr.startswith("Error: ffmpeg: ") and len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["lines.ndjson"]
    assert len(lines((tmp_path / "lines.ndjson").read_text())) == 3


@pytest.mark.parametrize("option", ["--draw", "--out"])
def test_a_video_is_never_replaced_by_its_own_result(server: FakeServing, video: Path, option: str) -> None:
    before = video.read_bytes()
    assert sightline(server, video, option, video).exit_code == Exit.USAGE
    assert video.read_bytes() == before


def test_a_service_that_goes_away_midway_ends_the_lines_with_the_error(video: Path, tmp_path: Path) -> None:
    with fake_serving() as server:
        model = server.models["droids"][1]
        calls = iter(range(1000))
        answer = model.answer

        def stop_at_ten(inputs):  # type: ignore[no-untyped-def]
            if next(calls) >= 10:
                server.models.clear()
            return answer(inputs)

        model.answer = stop_at_ten
        piped = sightline(server, video)
        assert piped.exit_code == Exit.REFUSED
        *records, last = lines(piped.stdout)
        assert 5 <= len(records) < FRAMES
        assert last["error"]["code"] == "model_not_found"  # type: ignore[index]
        out = tmp_path / "lines.ndjson"
        assert sightline(server, video, "--out", out).exit_code == Exit.REFUSED
    assert list(tmp_path.iterdir()) == []
