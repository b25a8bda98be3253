"""The real `sightline-model-server`, run as a process for a test and always stopped."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

START_S = 90  # TensorFlow's import alone takes several on a busy machine
STOP_S = 30
PORTS = (15_000, 32_000)


class ServedHere:
    """Where a server is to be found."""

    def __init__(self, port: int, rest_port: int) -> None:
        self.port = port
        self.rest_port = rest_port

    @property
    def address(self) -> str:
        """Of gRPC."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Of REST."""
        return f"http://127.0.0.1:{self.rest_port}"


class ServerProcess(ServedHere):
    """A server that runs in a process of its own, or has run."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int, rest_port: int) -> None:
        super().__init__(port, rest_port)
        self.process = process
        self._log = log

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it, wait, and say its exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_S)

    def wait_until_ready(self) -> None:
        """Return once both ports take connections."""
        deadline = time.monotonic() + START_S
        for port in (self.port, self.rest_port):
            while not _listens(port):
                if self.process.poll() is not None:
                    raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.output}")
                if time.monotonic() > deadline:
                    raise AssertionError(f"the server is not ready after {START_S} s:\n{self.output}")
                time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now, all different.

    Below the range from which the kernel takes the near ends of connections: a port of that range may be
    gone again before the server, which has a model to load first, comes to bind it.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(*PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port))
            ports.append(port)
    return ports


@contextlib.contextmanager
def server_process(*flags: str) -> Iterator[ServerProcess]:
    """Start the command with `flags` on free ports, without waiting for it; end it in any case."""
    port, rest_port = free_ports(2)
    command = [
        sys.executable, "-m", "sightline_serving.model_server",
        f"--port={port}", f"--rest_api_port={rest_port}", *flags,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield ServerProcess(process, log, port, rest_port)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@contextlib.contextmanager
def running_server(*flags: str) -> Iterator[ServerProcess]:
    """A server that is ready."""
    with server_process(*flags) as server:
        server.wait_until_ready()
        yield server


@contextlib.contextmanager
def model_server(*flags: str) -> Iterator[tuple[int, int]]:
    """The gRPC and the REST port of a server that is ready."""
    with running_server(*flags) as server:
        yield server.port, server.rest_port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def server_here(*flags: str) -> Iterator[ServedHere]:
    """The same server on real ports, in this process: TensorFlow is imported only once."""
    from sightline_serving.model_server.flags import parse
    from sightline_serving.model_server.server import ModelServer

    port, rest_port = free_ports(2)
    options, _ = parse([f"--port={port}", f"--rest_api_port={rest_port}", *flags])
    server = ModelServer(options)
    try:
        server.start()
        yield ServedHere(port, rest_port)
    finally:
        server.stop()
