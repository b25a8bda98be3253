"""What a job is given to look at: folders, lists, archives, object stores."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from support.detectors import NumberReader
from support.jobs import FRAMES, lines, work, write_inputs

from sightline import errors
from sightline.batch.engines import ThreadEngine
from sightline.batch.job import Job, JobOptions
from sightline.batch.sources import Source, _is_local, find_sources


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


def test_folders_globs_lists_and_addresses_name_each_input_once(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = lambda found: [Path(source.address).name for source in found]  # noqa: E731
    everything = ["broken.jpg", "broken.mp4", "film.mp4", "photo0.jpg", "photo1.jpg", "photo2.jpg"]
    assert names(find_sources([str(inputs)])) == everything
    assert names(find_sources([f"{inputs}/photo*.jpg"])) == ["photo0.jpg", "photo1.jpg"]
    assert names(find_sources([f"{inputs}/**/photo*.jpg"])) == ["photo0.jpg", "photo1.jpg", "photo2.jpg"]
    listed = tmp_path / "list.txt"
    listed.write_text(f"# chosen\n{inputs}/photo1.jpg\n\n{inputs}/film.mp4\n{inputs}/photo1.jpg\n")
    assert names(find_sources([f"@{listed}", str(inputs)]))[:2] == ["photo1.jpg", "film.mp4"]
    assert len(find_sources([f"@{listed}", str(inputs)])) == 6
    assert [s.kind for s in find_sources([f"@{listed}"])] == ["picture", "video"]
    assert Source("a/x.jpg", "picture").name != Source("b/x.jpg", "picture").name


@pytest.fixture
def store(inputs: Path) -> Iterator[str]:
    """An object store: fsspec's, in memory."""
    memory = fsspec.filesystem("memory")
    for path in inputs.iterdir():
        if path.is_file():
            memory.pipe_file(f"/bucket/{path.name}", path.read_bytes())
    yield "memory://bucket"
    memory.rm("/bucket", recursive=True)


def test_an_object_store_is_read_like_a_folder(store: str, inputs: Path, tmp_path: Path) -> None:
    found = find_sources([store])
    assert [source.address for source in found] == [
        f"memory:///bucket/{name}"
        for name in ["broken.jpg", "broken.mp4", "film.mp4", "photo0.jpg", "photo1.jpg"]
    ]
    with Job(tmp_path, work(NumberReader), JobOptions(segment=1)) as job:
        list(job.run(found, ThreadEngine(2)))
        assert job.summary().records == FRAMES + 2
        faults = dict(job.failures())
    broken = "memory:///bucket/broken.mp4"
    assert faults[broken].startswith(f"{broken} holds no video")  # and not the copy, whose name is by chance
    (path,) = (tmp_path / "results").glob("film*.ndjson")
    assert [record["frame"] for record in lines(path.read_bytes())] == list(range(FRAMES))


def test_an_archive_is_read_like_a_folder(inputs: Path, tmp_path: Path) -> None:
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("photo0.jpg", "photo1.jpg", "film.mp4"):
            file.write(inputs / name, f"deep/{name}")
    found = find_sources([f"zip://deep::{archive}"])
    assert [source.address for source in found] == [
        f"zip://deep/{name}::{archive}" for name in ("film.mp4", "photo0.jpg", "photo1.jpg")
    ]
    assert found[1].name.startswith("photo0.jpg-")
    with Job(tmp_path / "out", work(NumberReader), JobOptions(segment=1)) as job:
        list(job.run(found, ThreadEngine(2)))
        assert (job.summary().done, job.summary().records) == (3, FRAMES + 2)


def test_a_file_is_one_input_however_it_is_named(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inputs)
    named = ["photo0.jpg", "./photo0.jpg", str(inputs / "photo0.jpg"), f"file://{inputs}/photo0.jpg"]
    assert [source.address for source in find_sources(named)] == [str(inputs / "photo0.jpg")]
    caching = fsspec.filesystem("filecache", target_protocol="memory")
    assert not _is_local(caching)  # whose name only holds that of the local one


def test_a_store_is_not_asked_about_each_picture_of_a_list(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question takes a store milliseconds, and lists are long."""
    memory = fsspec.filesystem("memory")
    monkeypatch.setattr(type(memory), "isdir", lambda *_: pytest.fail("it was asked"))
    assert [source.kind for source in find_sources([f"{store}/a.jpg", f"{store}/b.mp4"])] == [
        "picture",
        "video",
    ]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("empty", "holds no pictures and no videos"),
        ("empty/*.jpg", "holds no pictures"),
        ("@gone.txt", "gone.txt cannot be read"),
        ("nosuch://bucket/x", "nosuch"),
    ],
)
def test_what_names_nothing_is_said(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.InvalidOptionError, match=says):
        find_sources([name])


def test_a_file_that_is_gone_is_recorded(tmp_path: Path) -> None:
    with Job(tmp_path / "out", work(NumberReader)) as job:
        list(job.run(find_sources(["/gone.jpg", "/gone.mp4"]), ThreadEngine(1)))
        assert sorted(fault for _, fault in job.failures()) == [
            "there is no file /gone.jpg",
            "there is no file /gone.mp4",
        ]


def test_a_name_that_is_not_utf8_is_said_before_the_job_begins(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).touch()
    with pytest.raises(errors.InvalidOptionError, match="not UTF-8; rename it"):
        find_sources([str(tmp_path)])
