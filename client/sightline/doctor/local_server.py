"""`sightline-model-server` on one version, for as long as an examination takes.

It loads as TensorFlow Serving does (TensorFlow's v1 loader) and speaks its protocol, in a process of its own:
the client itself stays without TensorFlow.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sightline.doctor.folders import VersionFolder
from sightline.errors import UnavailableError

COMMAND: Final = "sightline-model-server"
HOW_TO_GET: Final = (
    f"{COMMAND} (pip install 'sightline-serving[model-server]'), or a server: --serving HOST:PORT"
)
START_S: Final = 180.0  # seconds; TensorFlow's import alone takes several on a busy machine
_STOP_S: Final = 10.0  # seconds
_LOOK_S: Final = 0.1  # seconds between looks
_LOOPBACK: Final = "127.0.0.1"
_TOLD: Final = 600  # characters of the server's last words


def find_command() -> str | None:
    """The server's command: on the path, or beside this Python, whose environment may not be activated."""
    beside = Path(sys.executable).parent / COMMAND
    return shutil.which(COMMAND) or (str(beside) if beside.is_file() else None)


@contextmanager
def serve(folder: VersionFolder, command: str) -> Iterator[str]:
    """Serve the version, and no other, on a free port: yields `host:port`.

    Its warm-up is left out here, and replayed by the checks, which can then say which record fails.

    Raises:
        UnavailableError: it does not load, or not in time; the message has the server's last words.
    """
    with tempfile.TemporaryDirectory(prefix="sightline-doctor-") as scratch:
        base = Path(scratch) / folder.name
        base.mkdir()
        (base / str(folder.version)).symlink_to(folder.path.resolve(), target_is_directory=True)
        log = Path(scratch) / "log"
        port = _free_port()
        flags = [
            f"--port={port}",
            f"--model_name={folder.name}",
            f"--model_base_path={base}",
            "--enable_model_warmup=false",
            "--max_num_load_retries=0",
            "--file_system_poll_wait_seconds=0",
        ]
        with log.open("wb") as output:
            process = subprocess.Popen([command, *flags], stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait(process, port, log)
            yield f"{_LOOPBACK}:{port}"
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return once the port takes connections; the server opens it when the model is loaded."""
    deadline = time.monotonic() + START_S
    while True:
        if process.poll() is not None:
            raise UnavailableError(f"the server ended with {process.returncode}: {_last_words(log)}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((_LOOPBACK, port)) == 0:
                return
        if time.monotonic() > deadline:
            raise UnavailableError(f"the server is not ready after {START_S:.0f} s: {_last_words(log)}")
        time.sleep(_LOOK_S)


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line] or lines
    return telling[-1][-_TOLD:] if telling else "it said nothing"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
