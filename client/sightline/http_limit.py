"""A limit on a request as a whole: httpx bounds each wait for the network, and a drip is never late."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx

_CONNECTED: Final = ("connect_tcp.complete", "start_tls.complete")  # events that bring a new stream
_PIECE: Final = 2**16  # bytes written in one wait


class CallLimit:
    """Sends a blocking client's requests, each no longer than its own time limit.

    The streams of the client's connections are watched as they are opened, by httpx's tracing: what a
    stream waits for ends with the request that the thread is making, and not a time limit after it began.
    """

    def __init__(self) -> None:
        self._of_thread = threading.local()  # connections go from thread to thread, requests do not

    def send(self, client: httpx.Client, request: httpx.Request) -> httpx.Response:
        """The response, read to its end.

        Raises:
            httpx.TimeoutException: it was not there in time.
        """
        self._of_thread.deadline = time.monotonic() + _seconds(request)
        request.extensions["trace"] = self._watch
        return client.send(request)

    def _watch(self, event: str, told: Mapping[str, Any]) -> None:
        if not event.endswith(_CONNECTED):
            return
        stream = told["return_value"]
        read, write = stream.read, stream.write

        def read_in_time(max_bytes: int, timeout: float | None = None) -> bytes:
            got: bytes = read(max_bytes, self._left(httpx.ReadTimeout, timeout))
            return got

        def write_in_time(buffer: bytes, timeout: float | None = None) -> None:
            for at in range(0, len(buffer), _PIECE):
                write(buffer[at : at + _PIECE], self._left(httpx.WriteTimeout, timeout))

        stream.read, stream.write = read_in_time, write_in_time

    def _left(self, late: type[httpx.TimeoutException], timeout: float | None) -> float | None:
        if timeout is None:  # a stream that is only looked at
            return None
        left = float(self._of_thread.deadline) - time.monotonic()
        if left <= 0:
            raise late("the time for the whole call is over")
        return min(left, timeout)


async def send_in_time(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """As `CallLimit.send`, awaited."""
    try:
        async with asyncio.timeout(_seconds(request)):
            return await client.send(request)
    except TimeoutError:
        raise httpx.ReadTimeout("the time for the whole call is over", request=request) from None


def _seconds(request: httpx.Request) -> float:
    """What the request was given when it was made."""
    return float(request.extensions["timeout"]["read"])
