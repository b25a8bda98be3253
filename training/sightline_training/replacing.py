"""Files and folders that appear whole or not at all: written beside, then renamed."""

from __future__ import annotations

import glob
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightline.errors import InputError
from sightline.whole_file import PART_SUFFIX, whole_file


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8, so that a reader sees the old content or the new, never a part."""
    with whole_file(path) as file:
        file.write(text.encode())


def remove_parts(folder: Path) -> None:
    """Remove what processes have left that were killed while they wrote a file of this folder."""
    for left in folder.glob(f".*{PART_SUFFIX}"):
        left.unlink(missing_ok=True)


def refuse_taken(path: Path, *, kind: str = "") -> None:
    """Say before long work that its folder cannot be made.

    Args:
        path: of the folder.
        kind: a file by which a folder of the same kind is known, which would be replaced.

    Raises:
        InputError: something of that name is there already, and is no empty folder.
    """
    if kind and (path / kind).is_file():
        return
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path} is there already; remove it or name another folder")


@contextmanager
def new_folder(path: Path, *, kind: str = "") -> Iterator[Path]:
    """A folder to fill; it gets its name when the block ends well, and is removed when it does not.

    What a process that was killed over the same name has left is removed first.

    Args:
        path: of the folder.
        kind: a file by which a folder of the same kind is known: one that is there is replaced.

    Raises:
        InputError: a folder of that name is there already, and is not empty.
    """
    refuse_taken(path, kind=kind)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        shutil.rmtree(left, ignore_errors=True)
    part, old = _part_of(path), _part_of(path)
    part.mkdir(parents=True)
    try:
        with _named(path):
            yield part
        if kind and (path / kind).is_file():
            path.rename(old)
        try:
            part.rename(path)  # takes the place of an empty folder, and of nothing else
        except OSError:
            if old.exists():
                old.rename(path)
            raise InputError(f"{path} is there already; remove it or name another folder") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in an error that does not: a write to a full disk knows no name."""
    try:
        yield
    except OSError as fault:
        if fault.filename is None and fault.errno is not None:
            raise OSError(fault.errno, fault.strerror, str(path)) from fault
        raise


def _part_of(path: Path) -> Path:
    """A hidden name beside `path` that no other process picks; TensorFlow Serving takes it for no version."""
    return path.parent / f".{path.name}.{secrets.token_hex(4)}.part"
