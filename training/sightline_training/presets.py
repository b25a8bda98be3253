"""Recipes that are known to work, each with its command, the time it takes and the score to expect."""

from __future__ import annotations

import tomllib
from dataclasses import Field, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from sightline.errors import InputError
from sightline_training.annotations.reading import read_text
from sightline_training.augmentation import AugmentationOptions
from sightline_training.ranges import Range, check
from sightline_training.run import FitOptions

_TABLES: Final = ("network", "fit", "augmentation")
_NUMBER: Final = (int, float)
_KINDS: Final[
    dict[str, tuple[type, ...]]
] = {  # a field's type as it is written, and what TOML may give for it
    "int": (int,),
    "float": _NUMBER,
    "float | None": _NUMBER,
    "str": (str,),
}


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """Which network to build; None takes what the starting weights have."""

    family: str = "ssd"  # or `retinanet` or `d_fine`, which need the extra `hub`
    size: int = 300  # pixels, both sides
    multiplier: float | None = None

    def __post_init__(self) -> None:
        check(self, {"size": Range(1), "multiplier": Range(0, open=True)})


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
        text = read_text(own)
    elif name_or_path in preset_names():
        text = (_folder() / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        known = ", ".join(preset_names())
        raise InputError(f"there is no preset {name_or_path!r}; there are {known}, or name a .toml file")
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise InputError(f"the preset {name_or_path} is no TOML: {fault}") from None
    tables = {name: _table(plain.pop(name, {}), name, name_or_path) for name in _TABLES}
    network = _options(NetworkOptions, tables["network"], name_or_path)
    augmentation = _options(AugmentationOptions, tables["augmentation"], name_or_path)
    fit = _options(FitOptions, {**tables["fit"], "augmentation": augmentation}, name_or_path)
    if plain:
        known = ", ".join(f"[{name}]" for name in _TABLES)
        raise InputError(f"the preset {name_or_path} has {', '.join(plain)} outside the tables {known}")
    return Preset(network, fit)


def _table(found: object, name: str, preset: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise InputError(f"the preset {preset} has {name} = {found!r}; wanted is a table [{name}]")
    return found


def _options(cls: type, plain: dict[str, Any], name: str) -> Any:
    unknown = set(plain) - {item.name for item in fields(cls)}
    if unknown:
        raise InputError(f"the preset {name} has unknown fields: {', '.join(sorted(unknown))}")
    for item in fields(cls):
        _check_kind(item, plain.get(item.name), name)
    try:
        return cls(**plain)
    except InputError as fault:
        raise InputError(f"the preset {name}: {fault.detail}") from None


def _check_kind(item: Field[Any], value: object, name: str) -> None:
    kinds = _KINDS.get(str(item.type))
    if value is None or kinds is None:
        return
    if not isinstance(value, kinds) or isinstance(value, bool):
        wanted = "a text" if str in kinds else "a number" if float in kinds else "a whole number"
        raise InputError(f"the preset {name} has {item.name} = {value!r}; wanted is {wanted}")


def _folder() -> Any:
    return files("sightline_training") / "preset_files"
