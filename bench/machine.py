"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
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
    if not Path("/dev/nvidia0").exists():
        notes.append("On a GPU: this machine has none, so every line above is of the CPU.")
    return notes


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
