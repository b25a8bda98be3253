"""Recipes that are known to work, each with its command, the time it takes and the score to expect."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from sightline.errors import InputError
from sightline_training.augmentation import AugmentationOptions
from sightline_training.run import FitOptions


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """Which network to build; None takes what the starting weights have."""

    family: str = "ssd"  # or `retinanet` or `d_fine`, which need the extra `hub`
    size: int = 300  # pixels, both sides
    multiplier: float | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """A recipe."""

    network: NetworkOptions
    fit: FitOptions


def preset_names() -> list[str]:
    """The presets that come with the package."""
    return sorted(
        item.name.removesuffix(".toml") for item in _folder().iterdir() if item.name.endswith(".toml")
    )


def load_preset(name_or_path: str) -> Preset:
    """Read a preset of the package by name, or a file of one's own by path.

    Raises:
        InputError: there is none, or it holds a field that is not known.
    """
    own = Path(name_or_path)
    if own.suffix == ".toml" and own.is_file():
        text = own.read_text(encoding="utf-8")
    elif name_or_path in preset_names():
        text = (_folder() / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        known = ", ".join(preset_names())
        raise InputError(f"there is no preset {name_or_path!r}; there are {known}, or name a .toml file")
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise InputError(f"the preset {name_or_path} is no TOML: {fault}") from None
    network = _options(NetworkOptions, plain.pop("network", {}), name_or_path)
    augmentation = _options(AugmentationOptions, plain.pop("augmentation", {}), name_or_path)
    fit = _options(FitOptions, {**plain.pop("fit", {}), "augmentation": augmentation}, name_or_path)
    if plain:
        raise InputError(f"the preset {name_or_path} has unknown tables: {', '.join(plain)}")
    return Preset(network, fit)


def _options(cls: type, plain: dict[str, Any], name: str) -> Any:
    unknown = set(plain) - {item.name for item in fields(cls)}
    if unknown:
        raise InputError(f"the preset {name} has unknown fields: {', '.join(sorted(unknown))}")
    return cls(**plain)


def _folder() -> Any:
    return files("sightline_training") / "preset_files"
