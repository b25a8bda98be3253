"""The load generator: keep-alive HTTP clients in one event loop, in a process of its own.

Our own, because what it costs must be small, known, and the same on every machine: it sends the same
bytes again and again and reads no more of an answer than its length. It takes no part in the servers'
CPU time, and its own is told beside every result. Standard library only, so that it starts at once:

    python -m bench.load < spec.json > result.json
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

_CHUNK: Final = 1 << 18  # bytes read at once
_HEAD_END: Final = b"\r\n\r\n"
_OK: Final = 200
_ANSWER_TIMEOUT: Final = 120.0  # seconds without any event, after which the server counts as hung


@dataclass(frozen=True, slots=True)
class Load:
    """What to send. Each client sends its next request when the last is answered (a closed loop), or,
    where a rate is given, arrivals are Poisson and wait for a free client (an open loop)."""

    host: str
    port: int
    path: str
    bodies: Sequence[str]  # files that hold one body each, taken in turn
    content_type: str = "image/jpeg"
    clients: int = 1
    requests: int | None = None  # how many in all; or
    seconds: float | None = None  # for how long
    rate: float | None = None  # arrivals per second; None is a closed loop
    seed: int = 0  # of the arrivals


@dataclass(slots=True)
class LoadResult:
    """What came back."""

    answered: int = 0  # with status 200
    failed: int = 0  # with another status
    seconds: float = 0.0  # from the first byte sent to the last answer
    own_cpu_seconds: float = 0.0  # of this generator
    reconnected: int = 0  # connections that a server closed while none of its answer had been read
    latencies_ms: list[float] = field(default_factory=list)  # of the answered, from arrival to answer


class _Client:
    """One connection: either free, or with one request under way."""

    def __init__(self, address: tuple[str, int], selector: selectors.BaseSelector) -> None:
        self._address = address
        self._selector = selector
        self._connect()
        self.reconnected = 0
        self._answers = 0  # on this connection
        self._request = b""  # empty while free
        self.arrived = 0.0
        self._unsent = memoryview(b"")
        self._head = b""
        self._missing = -1  # bytes of the answer's body still to come; -1 while the head is incomplete
        self._status = 0

    def _connect(self) -> None:
        self.socket = socket.create_connection(self._address, timeout=_ANSWER_TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._selector.register(self.socket, selectors.EVENT_READ, self)

    def send(self, request: bytes, arrived: float) -> None:
        self._request = request
        self.arrived, self._unsent = arrived, memoryview(request)
        self._head, self._missing, self._status = b"", -1, 0
        self._write()
        if self._unsent:
            self._selector.modify(self.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def _write(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self._closed()

    def _closed(self) -> None:
        """Connect anew, as a server may close what it kept open, and send again what was just being sent."""
        if not self._answers or self._head:
            raise ConnectionError("the server closed a connection in place of an answer")
        self._selector.unregister(self.socket)
        self.socket.close()
        self._connect()
        self.reconnected += 1
        self._answers = 0
        if self._request:
            self.send(self._request, self.arrived)

    def on_event(self, mask: int) -> int | None:
        """The status once the answer is complete."""
        if mask & selectors.EVENT_WRITE:
            self._write()
            if not self._unsent:
                self._selector.modify(self.socket, selectors.EVENT_READ, self)
        return self._read() if mask & selectors.EVENT_READ else None

    def _read(self) -> int | None:
        try:
            chunk = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            self._closed()
            return None
        if self._missing < 0:
            self._head += chunk
            end = self._head.find(_HEAD_END)
            if end < 0:
                return None
            self._status, length = _read_head(self._head[:end])
            self._missing = length - (len(self._head) - end - len(_HEAD_END))
        else:
            self._missing -= len(chunk)
        if self._missing:
            return None
        self._answers += 1
        self._request, self._head = b"", b""
        return self._status


def _read_head(head: bytes) -> tuple[int, int]:
    status = int(head[9:12])
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return status, int(value)
    raise ConnectionError("the answer tells no Content-Length")


def requests_of(load: Load) -> list[bytes]:
    """The requests' bytes, one for each body."""
    requests = []
    for name in load.bodies:
        body = Path(name).read_bytes()
        head = (
            f"POST {load.path} HTTP/1.1\r\nHost: {load.host}:{load.port}\r\nContent-Type: "
            f"{load.content_type}\r\n"
            f"Accept: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


class Generator:
    """One run of a load."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._requests = requests_of(load)
        self._selector = selectors.DefaultSelector()
        self._free = [_Client((load.host, load.port), self._selector) for _ in range(load.clients)]
        self._busy = 0
        self._sent = 0
        self._random = random.Random(load.seed)
        self._result = LoadResult()
        self._waiting: list[float] = []  # arrivals of an open loop that no client was free for

    def run(self) -> LoadResult:
        """Send it all, and close the connections."""
        try:
            self._send_all()
        finally:
            for key in list(self._selector.get_map().values()):
                self._result.reconnected += key.data.reconnected
                key.data.socket.close()
            self._selector.close()
        return self._result

    def _send_all(self) -> None:
        cpu, begun = time.process_time(), time.perf_counter()
        end = begun + self._load.seconds if self._load.seconds is not None else float("inf")
        next_arrival = begun
        while True:
            now = time.perf_counter()
            if self._load.rate is None:
                while self._free and self._more(now, end):
                    self._start(now)
            else:
                while next_arrival <= now and self._more(next_arrival, end, len(self._waiting)):
                    self._waiting.append(next_arrival)
                    next_arrival += self._random.expovariate(self._load.rate)
                while self._free and self._waiting:
                    self._start(self._waiting.pop(0))
            open_loop = self._load.rate is not None and self._more(next_arrival, end, len(self._waiting))
            if not self._busy and not self._waiting and not open_loop:
                break
            self._wait(max(0.0, next_arrival - now) if open_loop else _ANSWER_TIMEOUT, idle=open_loop)
        self._result.seconds = time.perf_counter() - begun
        self._result.own_cpu_seconds = time.process_time() - cpu

    def _more(self, now: float, end: float, planned: int = 0) -> bool:
        limit = self._load.requests
        return now < end and (limit is None or self._sent + planned < limit)

    def _start(self, arrived: float) -> None:
        self._free.pop().send(self._requests[self._sent % len(self._requests)], arrived)
        self._sent += 1
        self._busy += 1

    def _wait(self, timeout: float, *, idle: bool) -> None:
        events = self._selector.select(timeout)
        if not events and not idle:
            raise TimeoutError(f"no answer for {_ANSWER_TIMEOUT:g} s")
        for key, mask in events:
            client: _Client = key.data
            status = client.on_event(mask)
            if status is None:
                continue
            if status == _OK:
                self._result.answered += 1
                self._result.latencies_ms.append((time.perf_counter() - client.arrived) * 1000)
            else:
                self._result.failed += 1
            self._busy -= 1
            self._free.append(client)


def main() -> None:
    """A `Load` as JSON on standard input, a `LoadResult` as JSON on standard output."""
    plain: dict[str, Any] = json.load(sys.stdin)
    json.dump(asdict(Generator(Load(**plain)).run()), sys.stdout)


if __name__ == "__main__":
    main()
