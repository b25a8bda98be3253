"""What serving costs: the local model server against the model called in process, and a bare gRPC echo.

    python -m bench.model_server            # about three minutes; writes bench/model_server.json and .md

All contenders are measured in one run, in turns, so that a noisy machine is noisy for each of them. CPU time
is that of the server's process, user and system; the clients' is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench.serving_contenders import ECHO, IN_PROCESS, MODULE, NULL, SERVED, contenders

CLIENTS: Final = (1, 16)
ROUNDS: Final = 10
CALLS: Final = {ECHO: 400, NULL: 400, SERVED: 48, IN_PROCESS: 48}  # a round
NULL_GOAL: Final = 1000.0  # requests per CPU-second of the server
OVERHEAD_GOAL: Final = 0.10  # of CPU per request, over calling in process
HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Row:
    """The median of all rounds."""

    contender: str
    clients: int
    cpu_ms: float  # per request
    per_cpu_second: float  # requests
    spread: float  # of cpu_ms, (largest - smallest) / median
    overhead: float | None  # of serving, over calling in process: the median of each round's own ratio


def run(rounds: int) -> list[Row]:
    """Every contender at every number of clients, in turns."""
    found: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        # In a process of its own, for TensorFlow takes CPU time and threads that are not the clients'.
        subprocess.run([sys.executable, "-m", MODULE, "--write", scratch], check=True)
        with contenders(folder) as measured:
            for measure in measured.values():
                measure(1, 40)
            for number in range(rounds):
                for clients in CLIENTS:
                    for name, measure in measured.items():
                        used = measure(clients, CALLS[name]) / CALLS[name]
                        found.setdefault((name, clients), []).append(used * 1e3)
                        print(
                            f"round {number + 1} of {rounds}: {name}, {clients} clients: {used * 1e3:.2f} ms"
                        )
    return [_row(name, clients, found) for name, clients in found]


def _row(name: str, clients: int, found: dict[tuple[str, int], list[float]]) -> Row:
    values = found[name, clients]
    median = statistics.median(values)
    overhead = None
    if name == SERVED:
        # Neighbours in time, so that what else the machine does falls on both.
        pairs = zip(values, found[IN_PROCESS, clients], strict=True)
        overhead = statistics.median(served / alone - 1 for served, alone in pairs)
    return Row(name, clients, median, 1e3 / median, (max(values) - min(values)) / median, overhead)


def report(rows: list[Row], rounds: int) -> str:
    """The table and the verdicts, in Markdown."""
    by_key = {(row.contender, row.clients): row for row in rows}
    lines = [
        "# What the local model server costs",
        "",
        f"CPU of the server's process per request, median of {rounds} rounds in turns. A request is one",
        "picture of 300 x 300 x 3 bytes; the null model answers with the same picture in `int_val`. Made by",
        f"`python -m bench.model_server` on {os.cpu_count()} CPUs.",
        "",
        "| contender | clients | CPU per request, ms | requests per CPU-second | spread |",
        "|---|---|---|---|---|",
    ]
    lines.extend(
        f"| {row.contender} | {row.clients} | {row.cpu_ms:.2f} | {row.per_cpu_second:.0f} | "
        f"{row.spread:.0%} |"
        for row in rows
    )
    lines.append("")
    for clients in CLIENTS:
        null, echo = by_key[NULL, clients], by_key[ECHO, clients]
        overhead = by_key[SERVED, clients].overhead or 0.0
        lines.append(
            f"- {clients} clients: the null model serves {null.per_cpu_second:.0f} requests per CPU-second "
            f"(goal {NULL_GOAL:.0f}: {_verdict(null.per_cpu_second >= NULL_GOAL)}), "
            f"{null.per_cpu_second / echo.per_cpu_second:.2f} of the bare echo's. Serving the detector costs "
            f"{overhead:+.1%} CPU over calling it in process (goal at most {OVERHEAD_GOAL:.0%}: "
            f"{_verdict(overhead <= OVERHEAD_GOAL)})."
        )
    return "\n".join(lines) + "\n"


def _verdict(met: bool) -> str:
    return "met" if met else "missed"


def main() -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(prog="python -m bench.model_server")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    rows = run(arguments.rounds)
    text = report(rows, arguments.rounds)
    (HERE / "model_server.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    (HERE / "model_server.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
