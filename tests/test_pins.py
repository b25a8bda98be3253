"""The environment that tests run in holds what is pinned, and nothing else."""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

OURS = {"sightline", "sightline-serving", "sightline-training"}
OF_THE_VENV = {"pip", "setuptools"}  # put there by `python -m venv`, whatever their versions


def normal(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_everything_installed_is_pinned(repository: Path) -> None:
    lines = (repository / "constraints.txt").read_text().splitlines()
    pins = {normal(name): version for name, _, version in (line.partition("==") for line in lines if line)}
    installed = {normal(item.metadata["Name"]): item.version for item in distributions()}
    loose = {
        name: version
        for name, version in installed.items()
        if name not in OURS | OF_THE_VENV and pins.get(name) != version
    }
    assert loose == {}
