"""How much is let in, and how much of it is worked on at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from prometheus_client import Gauge

from sightline.errors import OverloadedError


class Gate:
    """Bounds the requests in flight in one worker, and among them those that are worked on.

    A request that is being read or waits holds a thread and its body; one that is worked on holds decoded
    pixels and a core. So the bounds differ, and beyond the first one a request is refused at once.

    Args:
        in_flight: requests let in.
        at_once: of these, worked on at the same time.
        gauge: shows the requests in flight.
    """

    def __init__(self, in_flight: int, at_once: int, gauge: Gauge) -> None:
        self._limit = in_flight
        self._room, self._slots = _tokens(in_flight), _tokens(at_once)
        self._gauge = gauge

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Let a request in.

        Raises:
            OverloadedError: as many as are allowed are in flight.
        """
        try:
            self._room.get_nowait()
        except Empty:
            words = f"{self._limit} requests are in flight in this worker; try again"
            raise OverloadedError(words) from None
        self._gauge.inc()
        try:
            yield
        finally:
            self._gauge.dec()
            self._room.put(None)

    @contextmanager
    def working(self, timeout: float) -> Iterator[None]:
        """Wait for a turn to work, at most `timeout` seconds.

        Raises:
            OverloadedError: none came.
        """
        try:
            self._slots.get(timeout=timeout)
        except Empty:
            words = f"the request waited {timeout:g} s for its turn; try again"
            raise OverloadedError(words) from None
        try:
            yield
        finally:
            self._slots.put(None)


def _tokens(count: int) -> SimpleQueue[None]:
    """A semaphore, in C and first come, first served: `get` takes a token and `put` gives it back."""
    tokens: SimpleQueue[None] = SimpleQueue()
    for _ in range(count):
        tokens.put(None)
    return tokens
