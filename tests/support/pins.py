"""Versions that are pinned: constraints.txt, and what the images hold beyond it."""

from __future__ import annotations

import re
from pathlib import Path

FILES = ("constraints.txt", "docker/constraints.txt")


def normal(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: Path) -> dict[str, str]:
    """Name -> version."""
    lines = file.read_text().splitlines()
    return {normal(name): version for name, _, version in (line.partition("==") for line in lines if line)}
