"""The record of a job: what is done, so that a run that was killed can be continued."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import orjson

from sightline.errors import InvalidOptionError, UnavailableError
from sightline.whole_file import naming

MANIFEST: Final = "manifest.ndjson"
_FORMAT: Final = 1  # rises when an older release could not continue a newer one's job


class Manifest:
    """A line that says what the job is, then one for each input that is done, appended as it is done.

    An input's line is written after its result files have their names, so what the manifest names is
    there whole. A line that a kill cut short is taken off, and its input is done again. The lock goes
    with the process, however it ends.

    Args:
        folder: of the job.
        job: what must be the same when it is continued, as plain values.
        resume: continue what is there.

    Raises:
        InvalidOptionError: there is a job already and it is not to be continued, or it was another one, or
            the file is damaged.
            One that got nothing done is none.
        UnavailableError: it is running now.
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path, job: Mapping[str, Any], *, resume: bool) -> None:
        self.path = folder / MANIFEST
        begun = self.path.exists()
        self._file = self.path.open("ab+")
        try:
            self._lock(folder)
            lines = self._whole_lines()
            if len(lines) == 1 and not self._anything_beside():
                lines = []  # a job that could not even begin, such as with a service that was away
                self._file.truncate(0)
            if lines and not resume:
                raise InvalidOptionError(
                    f"{folder} holds a job already; continue it with --resume, or name another"
                )
            if lines:
                _same_job(lines[0], job, folder)
            else:
                self._append([{"format": _FORMAT, "job": dict(job)}])
        except BaseException:
            self._file.close()
            if not begun:
                self.path.unlink(missing_ok=True)
            raise
        self.done: dict[str, dict[str, Any]] = {line["input"]: line for line in lines[1:]}

    def add(self, lines: Sequence[dict[str, Any]]) -> None:
        """Record inputs as done."""
        if lines:
            self._append(lines)
            self.done |= {line["input"]: line for line in lines}

    def close(self) -> None:
        """Close the file, and give up the lock."""
        self._file.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self, folder: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnavailableError(f"another process is running the job in {folder}") from None

    def _whole_lines(self) -> list[dict[str, Any]]:
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            self._file.truncate(len(whole))
        return [self._read(line, number) for number, line in enumerate(whole.splitlines(), 1)]

    def _read(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            told = orjson.loads(line)
        except ValueError:
            told = None
        if not isinstance(told, dict) or ("job" if number == 1 else "input") not in told:
            raise InvalidOptionError(
                f"line {number} of {self.path} is not what a job wrote; start anew in another folder"
            )
        return told

    def _anything_beside(self) -> bool:
        return any(path.is_file() and path != self.path for path in self.path.parent.rglob("*"))

    def _append(self, lines: Iterable[dict[str, Any]]) -> None:
        with naming(self.path):
            self._file.write(b"".join(orjson.dumps(line) + b"\n" for line in lines))
            self._file.flush()
            os.fsync(self._file.fileno())


def _same_job(first: Mapping[str, Any], job: Mapping[str, Any], folder: Path) -> None:
    if first.get("format") != _FORMAT:
        raise InvalidOptionError(
            f"the job in {folder} was begun by another release; start anew in another folder"
        )
    before = first.get("job", {})
    changed = [
        f"{name} was {before.get(name)!r}"
        for name in sorted({*before, *job})
        if before.get(name) != job.get(name)
    ]
    if changed:
        raise InvalidOptionError(f"the job in {folder} was begun with other options: {', '.join(changed)}")
