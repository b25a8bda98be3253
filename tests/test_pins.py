"""The environment that tests run in holds what is pinned, and nothing else."""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

from support.pins import FILES, normal, pins

OURS = {"sightline", "sightline-serving", "sightline-training"}
OF_THE_VENV = {"pip", "setuptools"}  # put there by `python -m venv`, whatever their versions


def test_everything_installed_is_pinned(repository: Path) -> None:
    pinned = pins(repository / FILES[0])
    installed = {normal(item.metadata["Name"]): item.version for item in distributions()}
    loose = {
        name: version
        for name, version in installed.items()
        if name not in OURS | OF_THE_VENV and pinned.get(name) != version
    }
    assert loose == {}


def test_the_images_pins_are_beside_those_and_not_against_them(repository: Path) -> None:
    everywhere, images = (pins(repository / file) for file in FILES)
    assert everywhere.keys() & images.keys() == set()
