"""Starting and stopping the servers under test, each a process (and its children) of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.machine import gpu
from bench.process_tree import ProcessTree
from sightline.grpc_waiting import POLLING

REPOSITORY: Final = Path(__file__).resolve().parent.parent
WORK: Final = REPOSITORY / "build" / "bench"  # environments, logs, pictures; never committed
_CONFIG: Final = REPOSITORY / "serving" / "sightline_serving" / "config"
_FOR_CPUS: Final = (
    "--tensorflow_intra_op_parallelism=1",
    f"--batching_parameters_file={_CONFIG / 'batching.config'}",
)
_FOR_A_GPU: Final = (f"--batching_parameters_file={_CONFIG / 'gpu' / 'batching.config'}",)
START_TIMEOUT: Final = 120.0  # seconds; TensorFlow on a busy machine is slow to import
_STOP_TIMEOUT: Final = 20.0  # seconds after SIGTERM, before SIGKILL


class ServerError(RuntimeError):
    """A server did not start, or ended; the text holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    host: str
    port: int
    tree: ProcessTree
    seconds_to_ready: float


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    port: int,
    *,
    ready: str | None,
    environment: Mapping[str, str] | None = None,
    cwd: Path = REPOSITORY,
) -> Iterator[Server]:
    """Start a server, wait until it is ready, and stop it and its children at the end.

    Args:
        name: for messages and the log's file name.
        command: the program and its arguments.
        port: where it will listen on 127.0.0.1.
        ready: a path that answers 200 once it is ready; None waits for the port to open.
        environment: variables beside our own.
        cwd: where it runs.

    Raises:
        ServerError: it ended, or was not ready within START_TIMEOUT.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    log = WORK / f"{name}.log"
    begun = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=cwd,
            start_new_session=True,  # so that all of its children can be ended together
        )
        try:
            _wait_ready(process, name, port, ready, log)
            yield Server(name, "127.0.0.1", port, ProcessTree(process.pid), time.perf_counter() - begun)
        finally:
            _stop(process)


def _wait_ready(process: subprocess.Popen[bytes], name: str, port: int, ready: str | None, log: Path) -> None:
    until = time.monotonic() + START_TIMEOUT
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ServerError(f"{name} ended with {process.returncode}:\n{_tail(log)}")
        if _is_ready(port, ready):
            return
        time.sleep(0.01)
    raise ServerError(f"{name} was not ready after {START_TIMEOUT:g} s:\n{_tail(log)}")


def _is_ready(port: int, path: str | None) -> bool:
    try:
        if path is None:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    group = process.pid
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_TIMEOUT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)  # children that outlived it
    process.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def null_serving(detections: int = 3) -> contextlib.AbstractContextManager[Server]:
    """The Serving without a model."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "bench.null_serving",
        "--port",
        str(port),
        "--detections",
        str(detections),
    ]
    # What it costs is taken from the cores that are measured, so it should be little.
    return running("null-serving", command, port, ready=None, environment=dict([POLLING]))


def gateway(
    serving: Server, model: str, *, python: str | Path = sys.executable, **settings: str
) -> contextlib.AbstractContextManager[Server]:
    """The gateway in front of a Serving, as `sightline-gateway` starts it; it logs each request."""
    port = free_port()
    variables = {
        "SIGHTLINE_SERVING": f"{serving.host}:{serving.port}",
        "SIGHTLINE_MODEL": model,
        "SIGHTLINE_PORT": str(port),
        **{f"SIGHTLINE_{name.upper()}": value for name, value in settings.items()},
    }
    command = [python, "-m", "sightline_serving.gateway"]
    return running("gateway", command, port, ready="/readyz", environment=variables)


def model_server(
    model: str, base: Path, environment: Mapping[str, str] | None = None
) -> contextlib.AbstractContextManager[Server]:
    """The local model server with one model, in the settings of the image for this machine: CPU or GPU."""
    port = free_port()
    variables = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true", **(environment or {})}
    command = [
        sys.executable,
        "-m",
        "sightline_serving.model_server",
        f"--port={port}",
        f"--model_name={model}",
        f"--model_base_path={base}",
        "--enable_batching",
        *(_FOR_A_GPU if gpu() else _FOR_CPUS),
        "--grpc_max_threads=128",
    ]
    return running("model-server", command, port, ready=None, environment=variables)
