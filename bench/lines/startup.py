"""How long it takes to start, and how much room it takes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bench.answers import ask
from bench.contenders import ENVIRONMENTS
from bench.lines.efficiency import PATH
from bench.null_serving import MODEL
from bench.pictures import USUAL
from bench.report import Aim, Section, Table
from bench.run import Run
from bench.servers import REPOSITORY, gateway, null_serving

_ROUNDS: Final = 7
_START_AIM, _MEMORY_AIM = 1.0, 130.0  # seconds; MiB a worker
_BARE: Final = "import sys"
_IMPORTS: Final = {
    "sightline": "import sightline",
    "sightline, ready to ask": "from sightline import Serving; Serving('127.0.0.1:1', model='m')",
    "tensorflow_serving.apis": "from tensorflow_serving.apis import prediction_service_pb2_grpc",
}


def measure(run: Run) -> Section:
    """Line 7: start and size."""
    python = _gateway_environment(run)
    starts, answers, memory = [], [], []
    with null_serving() as null:
        for number in range(run.rounds(_ROUNDS)):
            run.tell(f"start: round {number + 1}")
            begun = time.perf_counter()
            with gateway(null, MODEL, python=python) as front:
                starts.append(front.seconds_to_ready)
                ask(front, PATH, run.bodies[USUAL.name])
                answers.append(time.perf_counter() - begun)
                for _ in range(16):
                    ask(front, PATH, run.bodies[USUAL.name])
                memory.append(front.tree.memory().largest / 2**20)
    imports = {name: _import_cost(code) for name, code in _IMPORTS.items()}
    sizes = [
        ["the gateway, without TensorFlow", _mib(ENVIRONMENTS / "gateway")],
        ["everything, with TensorFlow", _mib(Path(sys.prefix))],
    ]
    start, resident = statistics.median(starts), statistics.median(memory)
    rows = [[name, seconds, mib] for name, (seconds, mib) in imports.items()]
    return Section(
        "Start and size",
        [
            f"The gateway is ready {start:.2f} s after its start (two workers), and has answered its "
            "first picture after "
            f"{statistics.median(answers):.2f} s. A worker that has answered takes {resident:.0f} "
            "MiB, pages that "
            "workers share counted in each.",
            Table(["installed", "MiB"], sizes),
            "What importing costs, over starting Python:",
            Table(["", "seconds", "MiB, resident"], rows),
        ],
        [
            Aim("gateway start to ready, s", start, _START_AIM),
            Aim("memory of a worker, MiB", resident, _MEMORY_AIM),
        ],
        {"starts": starts, "first_answers": answers, "worker_mib": memory},
    )


def _gateway_environment(run: Run) -> Path:
    """An environment with the gateway and what it needs, as a container has it."""
    python = ENVIRONMENTS / "gateway" / "bin" / "python"
    marker = ENVIRONMENTS / "gateway" / ".installed"
    wanted = "".join((REPOSITORY / part / "pyproject.toml").read_text() for part in ("client", "serving"))
    if not marker.exists() or marker.read_text() != wanted:
        run.tell("environment of the gateway")
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENTS / "gateway"], check=True)
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        here: list[str | Path] = [
            "-c",
            REPOSITORY / "constraints.txt",
            "-e",
            REPOSITORY / "client",
            "-e",
            REPOSITORY / "serving",
        ]
        subprocess.run([*pip, *here], check=True)
        marker.write_text(wanted)
    return python


def _import_cost(code: str) -> tuple[float, float]:
    """Seconds and MiB over bare Python, the best of three: an import can only be slowed down by others."""
    taken, bare = [_once(code) for _ in range(3)], [_once(_BARE) for _ in range(3)]
    return min(t for t, _ in taken) - min(t for t, _ in bare), min(m for _, m in taken) - min(
        m for _, m in bare
    )


def _once(code: str) -> tuple[float, float]:
    told = "; import psutil; print(psutil.Process().memory_info().rss)"
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code + told], capture_output=True, text=True, check=True)
    return time.perf_counter() - begun, int(done.stdout) / 2**20


def _mib(folder: Path) -> float:
    return (
        sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
        / 2**20
    )
