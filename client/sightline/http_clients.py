"""httpx's clients, each asked only where its connections are good: in one process, and on one event loop.

After a fork two processes hold the same sockets, and each would read answers that are meant for the other:
boxes of another picture, without an error. What asyncio has opened ends with the loop that it was opened on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import httpx

from sightline.errors import SightlineError


class ProcessClients:
    """A blocking client in each process that asks. Safe to share between threads.

    Args:
        make: makes one; called at once, so that what is wrong with the environment is told at once.
    """

    def __init__(self, make: Callable[[], httpx.Client]) -> None:
        self._make = make
        self._of_process = {os.getpid(): make()}
        self._closed = False

    def here(self) -> httpx.Client:
        """This process's.

        Raises:
            SightlineError: they were closed.
        """
        if self._closed:
            raise _closed()
        process = os.getpid()
        return self._of_process.get(process) or self._first_of(process)

    def close(self) -> None:
        """Close the connections of this process; a parent's are its own to close."""
        self._closed = True
        if client := self._of_process.get(os.getpid()):
            client.close()

    def _first_of(self, process: int) -> httpx.Client:
        """Of several threads that get here one decides. No lock: one that was held at the fork stays so."""
        client = self._of_process.setdefault(process, self._make())
        for parent in [number for number in tuple(self._of_process) if number != process]:
            self._of_process.pop(parent, None)  # not closed, as its lock may be held; its sockets end with it
        return client


class LoopClients:
    """A client to be awaited on each event loop that asks.

    Args:
        make: as of `ProcessClients`.
    """

    def __init__(self, make: Callable[[], httpx.AsyncClient]) -> None:
        self._make = make
        self._spare: httpx.AsyncClient | None = make()
        self._of_loop: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}
        self._closed = False

    def here(self) -> httpx.AsyncClient:
        """That of the loop that runs.

        Raises:
            SightlineError: they were closed.
        """
        if self._closed:
            raise _closed()
        loop = asyncio.get_running_loop()
        return self._of_loop.get(loop) or self._first_of(loop)

    async def close(self) -> None:
        """Close the connections of the loop that runs; those of others end with their loops."""
        self._closed = True
        client = self._of_loop.get(asyncio.get_running_loop()) or self._spare
        self._of_loop.clear()
        if client is not None:
            await client.aclose()

    def _first_of(self, loop: asyncio.AbstractEventLoop) -> httpx.AsyncClient:
        for ended in [other for other in tuple(self._of_loop) if other.is_closed()]:
            self._of_loop.pop(ended, None)
        spare, self._spare = self._spare, None
        client = self._of_loop[loop] = spare or self._make()
        return client


def _closed() -> SightlineError:
    return SightlineError("this Gateway was closed; make another")
