"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil


def describe(quick: bool) -> dict[str, Any]:
    """For the head of the report."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load average at the end": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
        **({"GPU": name} if (name := gpu()) else {}),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        **{
            name: version(name)
            for name in ("tensorflow", "grpcio", "opencv-python-headless", "flask", "granian")
        },
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "run": "quick" if quick else "full",
    }


def not_measured() -> list[str]:
    """What this machine cannot say."""
    notes = [
        "The official TensorFlow Serving binary: it is not run here; the local model server stands in for it."
    ]
    if not gpu():
        notes.append("On a GPU: this machine has none, so every line above is of the CPU.")
    return notes


@contextmanager
def few_cores(most: int = 2) -> Iterator[int]:
    """Keep this thread and what it starts meanwhile on so many cores; gives their number."""
    allowed = os.sched_getaffinity(0)
    few = set(sorted(allowed)[:most])
    os.sched_setaffinity(0, few)
    try:
        yield len(few)
    finally:
        os.sched_setaffinity(0, allowed)


@cache
def gpu() -> str:
    """The first GPU's name and memory; empty where there is none."""
    asked = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.partition("\n")[0].strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
