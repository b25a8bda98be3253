"""Signals, heeded whichever thread the kernel gives them to."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

_AT_ONCE: Final = 64  # signals read together


def heed_in_any_thread(heard: Callable[[int], None] = lambda number: None) -> None:
    """Have handlers run by a thread of their own as well, in this process from here on.

    Python leaves a handler to the main thread, and a server's main thread waits for a lock: that wait is
    broken off where the signal comes to that very thread, and the kernel may choose another. A server that
    was told to end so would go on until it is killed, with what its callers asked. As the main thread may
    have heard it too, a handler has to bear being run twice, and at the same time.

    To be called in the main thread. A process that is forked later has to call it again.

    Args:
        heard: called with each signal's number before its handler is.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)  # written to in whichever thread it is
    os.register_at_fork(after_in_child=partial(signal.set_wakeup_fd, -1))  # the pipe leads to the parent
    threading.Thread(target=_heed, args=(reading, heard), name="signals", daemon=True).start()


def _heed(reading: int, heard: Callable[[int], None]) -> None:
    while numbers := os.read(reading, _AT_ONCE):
        for number in numbers:
            heard(number)
            handler = signal.getsignal(number)
            if callable(handler) and handler is not signal.default_int_handler:  # which raises, in its thread
                handler(number, None)
