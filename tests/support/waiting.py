"""Waiting for what another thread or process will do."""

from __future__ import annotations

import time
from collections.abc import Callable

LONG_S = 30.0
PAUSE_S = 0.02


def until(what: Callable[[], bool], seconds: float = LONG_S) -> None:
    """Return once it is so; fail if it is not within the time."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(PAUSE_S)
