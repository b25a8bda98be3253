"""Books what requests leave behind, metrics and a line in the log, shortly after their answers have gone.

At the end of a request that code and its data have left the caches, as a picture was decoded in between;
booked several at a time it costs a third. The numbers are in docs/decisions/0062.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

PAUSE: Final = 0.1  # seconds between an entry and its booking; a worker that is killed loses that much
log = logging.getLogger(__name__)
T = TypeVar("T")


class Ledger(Generic[T]):
    """Entries, booked in their order by a thread of its own. Safe to share between threads.

    The thread lasts for one batch, so an idle process has none; and as it is no daemon, a process that
    ends waits for it, and nothing is lost.

    Args:
        book: does the work for one entry.
        settled: called after each batch, for what is told of it as a whole.
    """

    def __init__(self, book: Callable[[T], None], settled: Callable[[], None] = lambda: None) -> None:
        self._book = book
        self._settled = settled
        self._entries: deque[T] = deque()
        self._due = threading.Lock()  # held while a batch is to come
        self._booking = threading.Lock()

    def add(self, entry: T) -> None:
        """Have an entry booked soon."""
        self._entries.append(entry)
        self.expect()

    def expect(self) -> None:
        """Have a batch soon, whether or not there are entries by then."""
        if self._due.acquire(blocking=False):
            batch = threading.Timer(PAUSE, self._settle_batch)
            batch.daemon = False  # a server's own thread counts as a daemon, and what it starts with it
            batch.start()

    def settle(self) -> None:
        """Book what has been added so far."""
        with self._booking:
            for _ in range(len(self._entries)):
                try:
                    self._book(self._entries.popleft())
                except Exception:  # the next one is booked all the same
                    log.exception("a request could not be booked")
            self._settled()

    def _settle_batch(self) -> None:
        self._due.release()  # first: what is added from now on has a batch to come
        self.settle()
