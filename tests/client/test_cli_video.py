from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner, Result
from support.fake_serving import FakeServing, fake_serving
from support.tools import tool
from support.videos import FPS, number_of, undecodable, write_video

from sightline.annotated_video import annotate
from sightline.cli import main, progress
from sightline.cli.exits import Exit
from sightline.detections import Detection, ImageSize, ModelVersion
from sightline.detections import Result as Found
from sightline.errors import InvalidOptionError
from sightline.frame_result import FrameResult
from sightline.video import FrameOptions, Video

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


def test_another_kind_of_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match=r"\.mp4"):
        annotate(tmp_path / "gone.mp4", [], tmp_path / "out.gif", FrameOptions())


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
