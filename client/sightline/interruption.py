"""Ctrl-C and SIGTERM: the first ends the command in good order, the second ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_came = threading.Event()


def raise_if_interrupted() -> None:
    """Raise the interruption once more, for work that goes from step to step.

    Python raises `KeyboardInterrupt` wherever the main thread happens to be. In a destructor or in a
    library's callback it is printed and forgotten, and the work would go on to its end.
    """
    if _came.is_set():
        raise KeyboardInterrupt


@contextmanager
def interruptible(last_code: int) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `KeyboardInterrupt` while the block runs.

    Who interrupts again while the first is still being cleaned up after, such as while an answer is waited
    for, wants out: the process then ends with `last_code` and leaves the cleaning to the next run. A signal
    that is ignored stays so: a shell without job control begins its background jobs deaf to Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():  # only there can a handler be set
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if _came.is_set():
            os._exit(last_code)
        _came.set()
        raise KeyboardInterrupt

    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _came.clear()
