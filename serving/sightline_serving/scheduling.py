"""How the kernel shares the cores among a server's threads."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def wake_in_turn() -> None:
    """Have threads that wake wait for the one at work, here and in children: its caches hold a picture.

    By itself the kernel lets the woken one in at once, six times in a request (docs/decisions/0067).
    """
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox may forbid it; nothing hangs on it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
