"""How much is let in, and how much of it is worked on at once."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue

from sightline.errors import OverloadedError


class Gate:
    """Bounds the requests in flight in one worker, and among them those that are worked on.

    A request that is being read or waits holds a thread and its body; one that is worked on holds decoded
    pixels and a core. So the bounds differ, and beyond the first one a request is refused at once.

    Args:
        in_flight: requests let in.
        at_once: of these, worked on at the same time.
        patience: seconds that a request waits for its turn to be worked on.
        changed: told that the number of requests in flight is another one.
    """

    def __init__(self, in_flight: int, at_once: int, patience: float, changed: Callable[[], None]) -> None:
        self.admitted = _Admission(in_flight, changed)
        self.working = _Turn(at_once, patience)

    @property
    def in_flight(self) -> int:
        """Requests let in."""
        return self.admitted.in_flight


# Both hold nothing of their callers, so that one of each serves all: entered anew by each request.


class _Admission:
    """`with` lets a request in.

    Raises:
        OverloadedError: as many as are allowed are in flight.
    """

    def __init__(self, count: int, changed: Callable[[], None]) -> None:
        self._count = count
        self._room = _tokens(count)
        self._changed = changed

    @property
    def in_flight(self) -> int:
        return self._count - self._room.qsize()

    def __enter__(self) -> None:
        try:
            self._room.get_nowait()
        except Empty:
            words = f"{self._count} requests are in flight in this worker; try again"
            raise OverloadedError(words) from None
        self._changed()

    def __exit__(self, *fault: object) -> None:
        self._room.put(None)
        self._changed()


class _Turn:
    """`with` waits for a turn to work.

    Raises:
        OverloadedError: none came.
    """

    def __init__(self, count: int, patience: float) -> None:
        self._slots = _tokens(count)
        self._patience = patience

    def __enter__(self) -> None:
        try:
            self._slots.get(timeout=self._patience)
        except Empty:
            words = f"the request waited {self._patience:g} s for its turn; try again"
            raise OverloadedError(words) from None

    def __exit__(self, *fault: object) -> None:
        self._slots.put(None)


def _tokens(count: int) -> SimpleQueue[None]:
    """A semaphore, in C and first come, first served: `get` takes a token and `put` gives it back."""
    tokens: SimpleQueue[None] = SimpleQueue()
    for _ in range(count):
        tokens.put(None)
    return tokens
