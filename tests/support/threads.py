"""The threads of a process, on Linux."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path


def signal_another_thread(process: int, number: signal.Signals) -> None:
    """Give a signal to a thread other than the main one, as the kernel may of one that is for the process."""
    threads = sorted(int(task.name) for task in Path(f"/proc/{process}/task").iterdir())
    other = next(thread for thread in reversed(threads) if thread != process)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.tgkill(process, other, int(number)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
