"""What is written is whole or not there, and the error names it, where a write fails."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest
from support.exported import SIZE, random_network
from support.labelled import drawn_examples

from sightline_training import checkpoint
from sightline_training.export import export_version
from sightline_training.records import write_files
from sightline_training.synthetic import LABELS

LIMIT = 20_000  # bytes of a file


@contextmanager
def disk_full() -> Iterator[None]:
    """The kernel's file size limit fails a write as a full disk does."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_records(tmp_path: Path) -> None:
    dataset = drawn_examples(tmp_path / "pictures", 3)
    with disk_full(), pytest.raises(OSError) as failed:
        write_files(tmp_path / "records", dataset)
    assert failed.value.filename == str(tmp_path / "records")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_an_export(tmp_path: Path) -> None:
    model, architecture = random_network()
    pictures = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    base = tmp_path / "droids"
    with disk_full(), pytest.raises(OSError) as failed:
        export_version(base, model, architecture, LABELS, pictures)
    assert failed.value.filename == str(base)
    assert "{{" not in str(failed.value)
    assert list(base.iterdir()) == []


def test_a_checkpoint_leaves_the_one_before(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((80,)), keras.layers.Dense(100)])
    path = tmp_path / "last.npz"
    path.write_bytes(b"the one before")
    with disk_full(), pytest.raises(OSError) as failed:
        checkpoint.save(path, model, step=1)
    assert failed.value.filename == str(path)
    assert failed.value.strerror
    assert path.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_goes_when_its_folder_is_written(tmp_path: Path) -> None:
    left, others = tmp_path / ".records.0123abcd.part", tmp_path / ".records-2.0123abcd.part"
    for folder in (left, others):
        folder.mkdir()
        (folder / "half").write_bytes(b"a record and a hal")
    write_files(tmp_path / "records", drawn_examples(tmp_path / "pictures", 1))
    assert (left.exists(), others.exists()) == (False, True)
