"""Lines to a file that is put aside when it is full."""

from __future__ import annotations

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType


class RotatingLines:
    """Appends lines to `FILE`; when it is full it becomes `FILE.1`, that `FILE.2`, and the oldest goes.

    The rotation is the standard library's for logs, whose names `tail -F` and log collectors know. Each
    line is written whole and at once. What a killed run left of a line is ended before the next one.

    Args:
        path: the file.
        max_bytes: of one file.
        keep: full files that are kept.

    Raises:
        OSError: it cannot be written, here or later.
    """

    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        _end_last_line(path)
        self._handler = _Raising(path, maxBytes=max_bytes, backupCount=keep, encoding="utf-8")

    def write(self, line: bytes) -> None:
        """Append a line, given without its end."""
        self._handler.emit(logging.makeLogRecord({"msg": line.decode()}))

    def close(self) -> None:
        """Close the file."""
        self._handler.close()

    def __enter__(self) -> RotatingLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Raising(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the library's name
        """A log may lose a line; a result may not."""
        fault = sys.exc_info()[1]
        assert fault is not None  # noqa: S101  # called while one is being handled
        raise fault


def _end_last_line(path: Path) -> None:
    try:
        with path.open("rb+") as file:
            if file.seek(0, 2) and (file.seek(-1, 2), file.read(1))[1] != b"\n":
                file.write(b"\n")
    except FileNotFoundError:
        pass
