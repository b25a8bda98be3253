"""One measurement: a load sent to a server, and what the processes used meanwhile."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.load import Load
from bench.rounds import percentile
from bench.servers import REPOSITORY, Server

_LOAD_TIMEOUT: Final = 300.0  # seconds


class LoadError(RuntimeError):
    """The load could not be sent, or answers failed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one load."""

    cpu_ms: tuple[float, ...]  # per request, of each watched server in order
    own_cpu_ms: float  # per request, of the load generator
    per_second: float  # requests answered
    mean_ms: float
    p50_ms: float
    p99_ms: float
    requests: int

    @property
    def total_cpu_ms(self) -> float:
        """Of all watched servers together."""
        return sum(self.cpu_ms)


def send(load: Load, watched: Sequence[Server], *, take_refusals: bool = False) -> Sample:
    """Send a load, and watch servers while it lasts.

    Raises:
        LoadError: the generator ended, or an answer was not 200 (unless refusals are taken).
    """
    before = [server.tree.cpu_seconds() for server in watched]
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(load)),
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=_LOAD_TIMEOUT,
        check=False,
    )
    after = [server.tree.cpu_seconds() for server in watched]
    if done.returncode:
        raise LoadError(f"{load.path}: {done.stderr.strip().splitlines()[-1]}")
    result = json.loads(done.stdout)
    if not result["answered"] or (result["failed"] and not take_refusals):
        raise LoadError(f"{load.path}: {result['failed']} answers failed, {result['answered']} were right")
    count = result["answered"]
    used = tuple((b - a) * 1000 / count for a, b in zip(before, after, strict=True))
    latencies = result["latencies_ms"]
    return Sample(
        used,
        result["own_cpu_seconds"] * 1000 / count,
        count / result["seconds"],
        statistics.fmean(latencies),
        percentile(latencies, 0.5),
        percentile(latencies, 0.99),
        count,
    )


class Helper:
    """A measuring process that stays up between rounds: a line of JSON in, a line of JSON out."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **question: Any) -> dict[str, Any]:
        """Have something measured."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise LoadError(f"{self._process.args!r} ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def helper(
    module: str, *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> Iterator[Helper]:
    """Start `python -m module arguments` with variables beside our own, and end it by closing its input."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **(environment or {})},
        cwd=REPOSITORY,
    )
    try:
        yield Helper(process)
    finally:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
