"""The real `sightline-gateway` command in processes of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

STARTED_WITHIN = 60.0  # seconds; takes one on an idle machine
STOPPED_WITHIN = 40.0  # seconds
COMMAND = (str(Path(sys.executable).with_name("sightline-gateway")),)


@dataclass
class RunningGateway:
    """A gateway that answers."""

    url: str
    process: subprocess.Popen[bytes]
    log_path: Path

    def log(self) -> str:
        """What it has written so far."""
        return self.log_path.read_text()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it as an operator would; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(STOPPED_WITHIN)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**variables: str) -> dict[str, str]:
    """Ours without any SIGHTLINE_*, and these."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("SIGHTLINE_")},
        **{f"SIGHTLINE_{name.upper()}": value for name, value in variables.items()},
    }


@contextmanager
def running(
    target: str, *, command: tuple[str, ...] = COMMAND, **settings: object
) -> Iterator[RunningGateway]:
    """Start the command in front of the Serving at `target`; stopped at the end, whatever happens.

    Args:
        target: of Serving.
        command: how to start it.
        settings: by their names in small letters, such as `workers=1`.
    """
    port = free_port()
    chosen = {"serving": target, "model": "droids", "port": port, "workers": 1, **settings}
    environment = clean_environment(**{name: str(value) for name, value in chosen.items()})
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with log.open("wb") as lines:
            process = subprocess.Popen(command, env=environment, stdout=lines, stderr=subprocess.STDOUT)
        started = RunningGateway(f"http://127.0.0.1:{port}", process, log)
        try:
            _wait(started)
            yield started
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOPPED_WITHIN)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@contextmanager
def gateway(target: str, **settings: object) -> Iterator[str]:
    """As `running`; its URL."""
    with running(target, **settings) as started:  # type: ignore[arg-type]
        yield started.url


def _wait(started: RunningGateway) -> None:
    deadline = time.monotonic() + STARTED_WITHIN
    while True:
        try:
            if httpx.get(f"{started.url}/healthz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if started.process.poll() is not None:
            raise RuntimeError(f"the gateway ended with {started.process.returncode}:\n{started.log()}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"the gateway did not answer in time:\n{started.log()}")
        time.sleep(0.05)
