"""Recipes and commands small enough for a test to train with."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner

_THIN = {"size": 96, "multiplier": 0.25}


def write_preset(
    folder: Path, *, steps: int, every: int, network: Mapping[str, object] = _THIN, **options: float
) -> str:
    """A recipe; `every` so many steps the run is kept and measured.

    Args:
        folder: where to.
        steps: of training.
        every: steps from one checkpoint, and evaluation, to the next.
        network: fields of `NetworkOptions`.
        **options: further fields of `FitOptions`.

    Returns:
        The file's path, as `--preset` takes it.
    """
    fit = {"steps": steps, "batch_size": 4, "checkpoint_every": every, "evaluate_every": every, **options}
    path = folder / f"preset-{steps}-{every}.toml"
    path.write_text(_table("network", network) + _table("fit", fit))
    return str(path)


def _table(name: str, fields: Mapping[str, object]) -> str:
    return "".join([f"[{name}]\n", *(f"{field} = {json.dumps(value)}\n" for field, value in fields.items())])


def train_process(*arguments: object) -> list[str]:
    """The words that run a command of `sightline-train` in a process of its own."""
    program = "from sightline_training.cli import main; main()"
    return [sys.executable, "-c", program, *(str(item) for item in arguments)]


def train_command(*arguments: object) -> str:
    """Run a command of `sightline-train` in this process to its good end. Returns what it printed."""
    from sightline_training.cli import data, model  # noqa: F401 - they add their commands to `cli`
    from sightline_training.cli.main import cli

    result = CliRunner().invoke(cli, [str(item) for item in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output
