"""Which folders are versions, which of them are served, and what is said of the rest."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import file_system_storage_path_source_pb2 as source_pb2

from sightline_serving.model_server.source import FolderSource, Watched, choose_versions, find_versions

Policy = source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy


def folders(base: Path, *names: str) -> Path:
    for name in names:
        (base / name).mkdir(parents=True)
    return base


def test_numbers_are_versions(tmp_path: Path) -> None:
    folders(tmp_path, "1", "0000007", "12.tmp", "v3", "-4", ".5", "٣", str(2**70))
    (tmp_path / "9").write_text("a plain file counts too, and will fail to load")
    assert sorted(find_versions(tmp_path)) == [1, 7, 9]


@pytest.mark.parametrize(
    ("policy", "chosen", "missing"),
    [
        ("", [5], []),
        ("latest {}", [5], []),
        ("latest { num_versions: 2 }", [3, 5], []),
        ("latest { num_versions: 9 }", [1, 3, 5], []),
        ("all {}", [1, 3, 5], []),
        ("specific { versions: 1 versions: 3 }", [1, 3], []),
        ("specific { versions: 1 versions: 4 }", [1], [4]),
    ],
)
def test_policies(tmp_path: Path, policy: str, chosen: list[int], missing: list[int]) -> None:
    found = {number: tmp_path / str(number) for number in (1, 3, 5)}
    kept, absent = choose_versions(found, text_format.Parse(policy, Policy()))
    assert (sorted(kept), absent) == (chosen, missing)


class Aspirations:
    """Notes what a source asks for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int]]] = []

    def __call__(self, name: str, versions: Mapping[int, Path]) -> None:
        self.calls.append((name, sorted(versions)))


def test_a_folder_that_empties_is_unloaded_and_one_that_vanishes_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noted = Aspirations()
    base = folders(tmp_path / "m", "1")
    source = FolderSource(noted, 0)
    source.watch({"m": Watched("m", base, Policy())})
    with caplog.at_level(logging.WARNING):
        (base / "1").rmdir()
        source.look()
        source.look()
        base.rmdir()
        source.look()
    assert noted.calls == [("m", [1]), ("m", []), ("m", [])]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2  # each state of affairs once, not once a second
    assert said[0].startswith(f"No versions of servable m found under base path {base}.")
    assert f"Could not find base path {base} for servable m" in said[1]


def test_models_that_are_no_longer_named_are_unloaded(tmp_path: Path) -> None:
    noted = Aspirations()
    source = FolderSource(noted, 0)
    watched = {name: Watched(name, folders(tmp_path / name, "1"), Policy()) for name in ("a", "b")}
    source.watch(watched)
    source.watch({"b": watched["b"]})
    assert noted.calls == [("a", [1]), ("b", [1]), ("a", []), ("b", [1])]


def test_a_negative_interval_never_looks(tmp_path: Path) -> None:
    noted = Aspirations()
    source = FolderSource(noted, -1)
    source.watch({"m": Watched("m", folders(tmp_path / "m", "1"), Policy())})
    source.close()
    assert noted.calls == []
