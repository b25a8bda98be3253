"""The peers as servers that can be started, each in its own environment under build/bench."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.peers.predictor import DECODER_VARIABLE, MODEL_VARIABLE
from bench.servers import REPOSITORY, WORK, Server, free_port, running

ENVIRONMENTS: Final = WORK / "venvs"
_PEERS: Final = REPOSITORY / "bench" / "peers"


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer. Its requirements stand in bench/peers/<name>.txt."""

    name: str
    command: Callable[[Path, int], Sequence[str]]  # of the environment's bin folder, and the port
    path: str = "/detect"
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def environment(self) -> Path:
        """Its virtual environment."""
        return ENVIRONMENTS / self.name


PEERS: Final = (
    Peer(
        "flask",
        lambda bin_, port: [
            f"{bin_}/gunicorn",
            "--bind",
            f"127.0.0.1:{port}",
            "--workers",
            "2",
            "--threads",
            "8",
            "--timeout",
            "120",
            "bench.peers.flask_app:create_app()",
        ],
    ),
    Peer(
        "fastapi",
        lambda bin_, port: [
            f"{bin_}/uvicorn",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "2",
            "--no-access-log",
            "bench.peers.fastapi_app:app",
        ],
    ),
    Peer("litserve", lambda bin_, port: [f"{bin_}/python", "-m", "bench.peers.litserve_app", str(port)]),
    Peer(
        "bentoml",
        lambda bin_, port: [
            f"{bin_}/bentoml",
            "serve",
            "bench.peers.bentoml_app:Detect",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ],
        variables=(("BENTOML_DO_NOT_TRACK", "True"),),
    ),
)


def install(peer: Peer, *, with_tensorflow: bool) -> None:
    """Make the peer's environment, or complete it.

    Raises:
        subprocess.CalledProcessError: pip could not; it says why on standard error.
    """
    python = peer.environment / "bin" / "python"
    marker = peer.environment / (".with-tensorflow" if with_tensorflow else ".without-tensorflow")
    if marker.exists():
        return
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", peer.environment], check=True)
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = ["-e", str(REPOSITORY / "client"), "-r", str(_PEERS / f"{peer.name}.txt")]
    subprocess.run([*pip, *wanted], check=True)
    if with_tensorflow:
        # The same TensorFlow as behind our server; the rest is as the peer wants it.
        subprocess.run([*pip, f"tensorflow=={version('tensorflow')}"], check=True)
    marker.touch()


def start(
    peer: Peer, model: Path | None, *, our_decoder: bool = False
) -> contextlib.AbstractContextManager[Server]:
    """Start a peer, with a model's version folder or with none, decoding as its guide does or as we do."""
    port = free_port()
    variables = {"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3", **dict(peer.variables)}
    if model is not None:
        variables[MODEL_VARIABLE] = str(model)
    if our_decoder:
        variables[DECODER_VARIABLE] = "ours"
    command = peer.command(peer.environment / "bin", port)
    return running(peer.name, command, port, ready=None, environment=variables, cwd=WORK)
