"""Connections of the client of the gateway: kept, and each process's and each event loop's own."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.gateway_answers import ANSWER, DARK

from sightline import errors
from sightline.http import AsyncGateway, Gateway


@contextmanager
def keeping() -> Iterator[tuple[str, list[socket.socket]]]:
    """A server that keeps connections alive: its address, and the connections that it has accepted."""
    body = json.dumps(ANSWER).encode()
    reply = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    accepted: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            accepted.append(peer)
            threading.Thread(target=talk, args=(peer,), daemon=True).start()

    def talk(peer: socket.socket) -> None:
        with peer:
            seen = b""
            while part := peer.recv(65536):
                seen += part
                if seen.endswith(DARK):
                    peer.sendall(reply)
                    seen = b""

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", accepted
        listener.shutdown(socket.SHUT_RDWR)


def test_connections_are_kept_alive() -> None:
    with keeping() as (url, accepted), Gateway(url, timeout=5) as gateway:
        for _ in range(5):
            gateway.detect(DARK)
    assert len(accepted) == 1


def test_a_forked_process_has_connections_of_its_own() -> None:
    """On its parent's it would read answers that are meant for its parent, and its parent the child's."""
    with keeping() as (url, accepted), Gateway(url, timeout=5) as gateway:
        gateway.detect(DARK)
        forked = multiprocessing.get_context("fork").Process(target=_asks_twice, args=(gateway,))
        forked.start()
        forked.join(30)
        assert forked.exitcode == 0
        gateway.detect(DARK)  # on the connection that it has had all along
    assert len(accepted) == 2


def _asks_twice(gateway: Gateway) -> None:
    gateway.detect(DARK)
    gateway.detect(DARK)
    gateway.close()
    with pytest.raises(errors.SightlineError, match="closed"):
        gateway.detect(DARK)


def test_one_event_loop_after_the_other_is_served() -> None:
    with keeping() as (url, accepted):
        gateway = AsyncGateway(url, timeout=5)

        async def ask() -> None:
            await gateway.detect(DARK)
            await gateway.detect(DARK)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # of what the loops left open when they ended
            asyncio.run(ask())
            asyncio.run(ask())
            asyncio.run(gateway.close())
            gc.collect()
        with pytest.raises(errors.SightlineError, match="closed"):
            asyncio.run(gateway.detect(DARK))
    assert len(accepted) == 2
