"""A job from its inputs to its results: complete, resumable, in bounded memory."""

from __future__ import annotations

import pickle
import socket
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.detectors import NumberReader
from support.fake_serving import fake_serving
from support.jobs import FRAMES, lines, work, write_inputs
from support.videos import undecodable, write_video

from sightline import errors
from sightline.batch.engines import ThreadEngine, check_answers
from sightline.batch.job import Job, JobOptions
from sightline.batch.manifest import MANIFEST
from sightline.batch.sources import find_sources
from sightline.batch.work import Work
from sightline.pipeline import detect_frames
from sightline.video import FrameOptions, Video


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


def run(out: Path, folder: Path, doing: Work, options: JobOptions | None = None) -> Job:
    with Job(out, doing, options or JobOptions(segment=1)) as job:
        completed = sum(job.run(find_sources([str(folder)]), ThreadEngine(2)))
    assert completed == pytest.approx(6)
    return job


def results(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "results").iterdir())}


def test_every_input_gets_its_files_and_its_line_in_the_manifest(inputs: Path, tmp_path: Path) -> None:
    job = run(tmp_path, inputs, work(NumberReader))
    told = job.summary()
    assert (told.done, told.failed, told.records) == (4, 2, 3 + FRAMES)
    assert told.detections == told.records
    head, *manifest = lines((tmp_path / MANIFEST).read_bytes())
    assert head["format"] == 1
    by_name = {Path(str(line["input"])).name: line for line in manifest}
    assert by_name["broken.jpg"]["error"]["code"] == "not_an_image"  # type: ignore[index]
    assert by_name["broken.mp4"]["error"]["code"] == "not_a_video"  # type: ignore[index]
    files = by_name["photo1.jpg"]["files"]
    record = lines(results(tmp_path)[files[0]])[0]  # type: ignore[index]
    assert record["detections"][0]["score"] == 0.51  # type: ignore[index]
    assert len(results(tmp_path)) == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.ndjson", "results"]


def test_parquet_holds_a_row_per_object(inputs: Path, tmp_path: Path) -> None:
    run(tmp_path, inputs, work(NumberReader))
    (path,) = (tmp_path / "results").glob("film*.parquet")
    table = pq.read_table(path).to_pydict()
    assert table["frame"] == list(range(FRAMES))
    assert table["time"] == pytest.approx([frame / 25 for frame in range(FRAMES)])
    assert table["label"] == ["R2-D2"] * FRAMES
    assert table["score"][3] == pytest.approx(0.53)
    (photo,) = (tmp_path / "results").glob("photo0*.parquet")
    assert pq.read_table(photo).to_pydict()["frame"] == [None]


@pytest.mark.parametrize(("fps", "segment"), [(None, 0.7), (None, 1.0), (7, 1.0), (3, 0.5), (None, 100)])
def test_a_video_in_parts_is_joined_without_a_seam(
    inputs: Path, tmp_path: Path, fps: float | None, segment: float
) -> None:
    with Video(inputs / "film.mp4") as video:
        whole = [r.to_dict() for r in detect_frames(NumberReader(), video.frames(FrameOptions(fps=fps)))]
    run(tmp_path, inputs, work(NumberReader, fps=fps), JobOptions(segment=segment))
    (path,) = (tmp_path / "results").glob("film*.ndjson")
    joined = lines(path.read_bytes())
    wanted = ("frame", "time", "detections")
    assert [[record[key] for key in wanted] for record in joined] == [
        [r[key] for key in wanted] for r in whole
    ]


def test_a_job_that_ended_midway_is_continued_and_nothing_is_asked_twice(
    inputs: Path, tmp_path: Path
) -> None:
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    run(undisturbed, inputs, work(NumberReader))
    detector = NumberReader(fail_at=60, error=errors.ModelNotFoundError("the model went away"))
    failing = work(lambda: detector)
    with Job(out, failing, JobOptions(segment=1)) as job, pytest.raises(errors.ModelNotFoundError):
        list(job.run(find_sources([str(inputs)]), ThreadEngine(2)))
    before = len(lines((out / MANIFEST).read_bytes()))
    assert before < 7
    healed = NumberReader()
    with Job(out, work(lambda: healed), JobOptions(segment=1, resume=True)) as job:
        list(job.run(find_sources([str(inputs)]), ThreadEngine(2)))
    assert results(out) == results(undisturbed)
    assert len(healed.seen) < FRAMES + 3
    assert sorted(line["input"] for line in lines((out / MANIFEST).read_bytes())[1:]) == sorted(
        source.address for source in find_sources([str(inputs)])
    )


def test_a_video_that_was_cut_short_is_done_with_a_warning(tmp_path: Path) -> None:
    h264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-movflags", "+faststart")
    film = write_video(tmp_path / "film.mp4", 100, *h264)
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    for segment in (1.0, 100.0):
        out = tmp_path / f"out{segment}"
        with Job(out, work(NumberReader), JobOptions(segment=segment)) as job:
            list(job.run(find_sources([str(film)]), ThreadEngine(2)))
            ((address, warning),) = job.warnings()
        assert address == str(film) and "cut short or damaged" in warning
        assert lines((out / MANIFEST).read_bytes())[1]["warning"] == warning
        assert 10 < job.summary().records < 90


def test_a_video_of_which_no_frame_can_be_decoded_has_failed(tmp_path: Path) -> None:
    film = undecodable(write_video(tmp_path / "film.mp4", 100))
    with Job(tmp_path / "out", work(NumberReader), JobOptions(segment=1)) as job:
        assert sum(job.run(find_sources([str(film)]), ThreadEngine(2))) == 1
        assert (job.summary().done, job.summary().failed) == (0, 1)
        ((address, fault),) = job.failures()
    assert address == str(film) and f"no frame of {film} can be decoded" in fault


def test_a_line_that_was_cut_short_is_done_again(inputs: Path, tmp_path: Path) -> None:
    run(tmp_path, inputs, work(NumberReader))
    before, manifest = results(tmp_path), (tmp_path / MANIFEST).read_bytes()
    (tmp_path / MANIFEST).write_bytes(manifest[:-20])
    (tmp_path / "results" / ".film.ndjson.123.part").write_bytes(b"half")
    with Job(tmp_path, work(NumberReader), JobOptions(segment=1, resume=True)) as job:
        list(job.run(find_sources([str(inputs)]), ThreadEngine(2)))
    assert results(tmp_path) == before
    assert sorted(lines((tmp_path / MANIFEST).read_bytes()), key=str) == sorted(lines(manifest), key=str)


@pytest.mark.parametrize("line", [b"[1]\n", b'{"x": \n', b"{}\n"])
def test_a_damaged_manifest_is_named_with_its_line(inputs: Path, tmp_path: Path, line: bytes) -> None:
    with Job(tmp_path, work(NumberReader)) as job:
        list(job.run(find_sources([str(inputs / "photo0.jpg")]), ThreadEngine(1)))
    manifest = tmp_path / MANIFEST
    manifest.write_bytes(manifest.read_bytes() + line)
    with pytest.raises(errors.InvalidOptionError, match=rf"line 3 of .*{MANIFEST} is not what a job wrote"):
        Job(tmp_path, work(NumberReader), JobOptions(resume=True))


def test_a_job_is_not_mixed_with_another(inputs: Path, tmp_path: Path) -> None:
    run(tmp_path, inputs, work(NumberReader))
    with pytest.raises(errors.InvalidOptionError, match="--resume"):
        Job(tmp_path, work(NumberReader), JobOptions(segment=1))
    with pytest.raises(errors.InvalidOptionError, match="fps was None"):
        Job(tmp_path, work(NumberReader, fps=2), JobOptions(segment=1, resume=True))
    with (
        Job(tmp_path, work(NumberReader), JobOptions(segment=1, resume=True)),
        pytest.raises(errors.UnavailableError, match="another process"),
    ):
        Job(tmp_path, work(NumberReader), JobOptions(segment=1, resume=True))


def test_a_job_that_got_nothing_done_is_no_obstacle(inputs: Path, tmp_path: Path) -> None:
    away = NumberReader(fail_at=0, error=errors.UnavailableError("away"))
    first = [str(inputs / "photo0.jpg")]
    with Job(tmp_path, work(lambda: away, patience=0)) as job, pytest.raises(errors.UnavailableError):
        list(job.run(find_sources(first), ThreadEngine(1)))
    with Job(tmp_path, work(NumberReader, fps=2)) as job:  # another job, not continued
        list(job.run(find_sources(first), ThreadEngine(1)))
        assert job.summary().done == 1
    assert lines((tmp_path / MANIFEST).read_bytes())[0]["job"]["fps"] == 2  # type: ignore[index]


def test_a_service_that_is_away_is_waited_for(inputs: Path, tmp_path: Path) -> None:
    class Restarting(NumberReader):
        failures = 3

        def detect(self, *args, **rest):  # type: ignore[no-untyped-def]
            if self.failures:
                self.failures -= 1
                raise errors.UnavailableError("restarting")
            return super().detect(*args, **rest)

    detector = Restarting()
    run(tmp_path / "patient", inputs, work(lambda: detector, patience=30))
    detector.failures = 10**6
    with Job(tmp_path / "hasty", work(lambda: detector, patience=0.1)) as job:
        with pytest.raises(errors.UnavailableError):
            list(job.run(find_sources([str(inputs)]), ThreadEngine(2)))
        assert job.summary().failed <= 1  # the broken video at most: an absent service is no input's fault


def test_what_the_model_fails_over_is_recorded_and_the_others_are_done(inputs: Path, tmp_path: Path) -> None:
    """In a batch of two the service's error is the whole batch's, so they are asked one by one."""

    class Choking(NumberReader):
        def detect_many(self, images, options=None, **rest):  # type: ignore[no-untyped-def]
            answers = super().detect_many(images, options, **rest)
            if any(
                not isinstance(a, errors.SightlineError) and a.detections[0].score == 0.51 for a in answers
            ):
                raise errors.ServingError("op failed")
            return answers

    detector = Choking()
    photos = [str(inputs / "photo0.jpg"), str(inputs / "photo1.jpg"), str(inputs / "sub")]
    with Job(tmp_path, work(lambda: detector)) as job:
        list(job.run(find_sources(photos), ThreadEngine(2)))
        assert [(Path(name).name, fault) for name, fault in job.failures()] == [("photo1.jpg", "op failed")]
        assert job.summary().done == 2


def test_no_more_is_in_flight_than_was_said(inputs: Path, tmp_path: Path) -> None:
    detector = NumberReader(delay=0.002)
    with Job(tmp_path, work(lambda: detector, in_flight=3), JobOptions(segment=0.5)) as job:
        list(job.run(find_sources([str(inputs / "film.mp4")]), ThreadEngine(2)))
    assert 2 < detector.most_at_once <= 6


def test_a_cluster_that_is_not_there_is_said_to_be_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        for port in (9, deaf.getsockname()[1]):
            with pytest.raises(errors.UnavailableError, match=f"127.0.0.1:{port} cannot be reached"):
                check_answers(f"ray://127.0.0.1:{port}", within=0.3)
    check_answers("auto")
    with fake_serving() as server:  # speaks gRPC, as the heads of clusters do
        check_answers(server.target)


def test_work_can_be_sent_to_another_machine() -> None:
    sent = pickle.loads(pickle.dumps(work(NumberReader)))
    assert sent == work(NumberReader)
