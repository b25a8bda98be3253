"""Lines to a file that is put aside when it is full."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from sightline.whole_file import naming


class RotatingLines:
    """Appends lines to `FILE`; when it is full it becomes `FILE.1`, that `FILE.2`, and the oldest goes.

    The names are those of logrotate and of Python's logging, which `tail -F` and log collectors know. Each
    line is written whole and at once, or not at all: the standard library's handler would leave half a
    line where the disk is full. What a killed run left of a line is ended before the next one.

    Args:
        path: the file.
        max_bytes: of one file; a single longer line gets a file of its own.
        keep: full files that are kept, at least one.

    Raises:
        OSError: it cannot be written, here or later.
    """

    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        self._path, self._max_bytes, self._keep = path, max_bytes, keep
        self._open()
        if self._size and os.pread(self._file, 1, self._size - 1) != b"\n":
            self.write(b"")

    def write(self, line: bytes) -> None:
        """Append a line, given without its end."""
        content = line + b"\n"
        if self._size and self._size + len(content) > self._max_bytes:
            self._rotate()
        try:
            with naming(self._path):
                written = 0
                while written < len(content):
                    written += os.write(self._file, content[written:])
        except OSError:
            with suppress(OSError):  # a pipe cannot take it back
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(content)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> RotatingLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        self._size = os.fstat(self._file).st_size

    def _rotate(self) -> None:
        if not self._path.is_file():  # such as /dev/stdout
            return
        for number in range(self._keep - 1, 0, -1):
            if self._aside(number).exists():
                self._aside(number).replace(self._aside(number + 1))
        self._path.replace(self._aside(1))
        os.close(self._file)
        self._open()

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
