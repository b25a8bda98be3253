"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

PART_SUFFIX: Final = ".part"  # of what is being written; a leftover of a killed run may be deleted

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of the disk, the user's share, the file


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside `path` for writing; it takes that name once the block ends without an error.

    Who reads `path` sees the old content or the new, never half of it, even if the power fails.

    A link's target takes the new content. What is no regular file, such as a pipe, is written as it is.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full; `path` is then as it was.
    """
    if path.is_symlink():
        path = path.resolve()
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as file:
            yield file
        return
    part = part_of(path)
    try:
        with naming(path, part), part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def check_writable(path: Path) -> None:
    """Find out before long work whether its result can be written beside `path`.

    Raises:
        OSError: the folder is missing or not writable.
    """
    part = part_of(path)
    with naming(path, part), part.open("wb"):
        part.unlink()


@contextmanager
def naming(path: Path, part: Path | None = None) -> Iterator[None]:
    """Let an error say which file it is about: a write to a full disk cannot, and `part` says little."""
    try:
        yield
    except OSError as fault:
        if fault.filename == str(part) or (fault.filename is None and fault.errno in _FULL):
            fault.filename = str(path)
        raise


def part_of(path: Path) -> Path:
    """Where `path` is written before it gets its name; of this process alone, in the same folder."""
    return path.with_name(f".{path.name}.{os.getpid()}{PART_SUFFIX}")
