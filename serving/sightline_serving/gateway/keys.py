"""API keys: several, named, in a file that may change while we run."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Final

LOOK_EVERY: Final = 1.0  # seconds between looks at the file's time
MIN_LENGTH: Final = 16  # characters; a shorter key can be guessed
log = logging.getLogger(__name__)


class ApiKeys:
    """The keys of a file of `name: key` lines; `#` begins a comment. Safe to share between threads.

    Only digests are kept. A file that has become unreadable leaves the keys as they were, and says so
    in the log.

    Raises:
        ValueError: at first reading, the file cannot be read or a line is wrong; no key is told.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._keys, self._stamp = _read(path), _stamp(path)
        self._tell()
        self._looked = time.monotonic()

    def owner(self, key: str) -> str | None:
        """The name of a key, or None. Takes as long for a wrong key as for a right one."""
        self._look()
        digest = sha256(key.encode()).digest()
        found = None
        for name, known in self._keys:
            if hmac.compare_digest(digest, known):
                found = name
        return found

    def _tell(self) -> None:
        if self._keys:
            log.info("%d API keys read", len(self._keys))
        else:  # which may be meant: all were taken back
            log.warning("%s holds no API key: whoever has to show one is refused", self._path)

    def _look(self) -> None:
        if time.monotonic() - self._looked < LOOK_EVERY or not self._lock.acquire(blocking=False):
            return
        try:
            self._looked = time.monotonic()
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._keys, self._stamp = _read(self._path), stamp
                self._tell()
        except (OSError, ValueError) as fault:
            log.error("the API keys stay as they were: %s", fault)
        finally:
            self._lock.release()


def _stamp(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_mtime_ns, state.st_ino  # a file put in its place by renaming has another inode


def _read(path: Path) -> tuple[tuple[str, bytes], ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise ValueError(f"cannot read the API keys in {path}: {fault}") from None
    keys = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        name, colon, key = (part.strip() for part in text.partition(":"))
        if not (name and colon and len(key) >= MIN_LENGTH):
            raise ValueError(
                f"line {number} of {path} is no `name: key` with at least {MIN_LENGTH} characters"
            )
        keys.append((name, sha256(key.encode()).digest()))
    return tuple(keys)
