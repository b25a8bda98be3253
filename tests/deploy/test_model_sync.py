"""The job that brings models into a cluster: whole and examined, or not at all."""

from __future__ import annotations

import importlib.util
import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from support.manifests import REPOSITORY

Sync = Callable[..., int]


@pytest.fixture
def job() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "sync_models", REPOSITORY / "docker/model-server/sync_models.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store" / "droids"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models" / "droids"


@pytest.fixture
def sync(job: ModuleType, store: Path, models: Path, tmp_path: Path) -> Sync:
    """Runs the job with a doctor that fails what holds a file `bad`."""
    doctor = tmp_path / "doctor"
    doctor.write_text('#!/bin/sh\necho "examined $1"\n[ ! -e "$1/bad" ]\n')
    doctor.chmod(doctor.stat().st_mode | stat.S_IXUSR)
    job.DOCTOR = (str(doctor),)  # type: ignore[attr-defined]

    def run(*more: str) -> int:
        code: int = job.main(["--source", str(store), "--models", str(models), *more])
        return code

    return run


def _version(store: Path, number: int, *, bad: bool = False) -> None:
    folder = store / str(number) / "variables"
    folder.mkdir(parents=True)
    (folder / "variables.index").write_text("weights")
    (store / str(number) / "saved_model.pb").write_text("graph")
    if bad:
        (store / str(number) / "bad").touch()


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_sound_version_appears_whole(sync: Sync, store: Path, models: Path) -> None:
    _version(store, 1)
    assert sync() == 0
    assert _names(models) == {"1"}
    assert (models / "1/variables/variables.index").read_text() == "weights"


def test_a_refused_version_never_gets_a_number_and_is_not_examined_twice(
    sync: Sync, store: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _version(store, 1)
    _version(store, 2, bad=True)
    assert sync() == 1
    assert _names(models) == {"1", ".refused-2"}
    capsys.readouterr()
    assert sync() == 1
    assert "examined" not in capsys.readouterr().out


def test_a_refused_version_that_was_mended_is_examined_again(sync: Sync, store: Path, models: Path) -> None:
    _version(store, 2, bad=True)
    assert sync() == 1
    (store / "2" / "bad").unlink()
    assert sync() == 0
    assert _names(models) == {"2"}


def test_only_the_newest_are_kept_and_what_was_cut_short_is_cleared(
    sync: Sync, store: Path, models: Path
) -> None:
    for number in (1, 2, 10):
        _version(store, number)
    (models / ".incoming-9" / "droids").mkdir(parents=True)
    assert sync("--keep", "2") == 0
    assert _names(models) == {"2", "10"}


def test_an_upload_under_way_is_left_alone(sync: Sync, store: Path, models: Path) -> None:
    _version(store, 1)
    (store / "2" / "variables").mkdir(parents=True)
    assert sync() == 0
    assert _names(models) == {"1"}


def test_a_store_that_is_not_there_is_named(
    sync: Sync, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sync() == 3
    assert str(store) in capsys.readouterr().err


def test_a_version_that_serving_is_told_to_load_stays(
    sync: Sync, store: Path, models: Path, tmp_path: Path
) -> None:
    config = tmp_path / "models.config"
    config.write_text("model_version_policy { specific { versions: 1 versions:2 } }")
    for number in (1, 2, 3, 4):
        _version(store, number)
        assert sync("--keep", "1", "--config", str(config)) == 0
    assert _names(models) == {"1", "2", "4"}
