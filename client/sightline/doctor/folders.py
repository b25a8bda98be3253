"""Which versions a folder holds, and whether TensorFlow Serving would find them there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sightline.contract import LAST_VERSION
from sightline.doctor.results import CheckResult, Subject

SAVED_MODEL_FILE: Final = "saved_model.pb"
VARIABLES_INDEX: Final = Path("variables", "variables.index")
_NAMED: Final = 5  # files of a wrong folder that are told

LAYOUT: Final = "layout"
_RIGHT: Final = f"MODELS/NAME/VERSION/{SAVED_MODEL_FILE}, VERSION a whole number"


@dataclass(frozen=True, slots=True)
class VersionFolder:
    """A folder to examine as one version of a model."""

    name: str  # of the model
    version: int
    path: Path

    @property
    def subject(self) -> Subject:
        """What its results are about."""
        return Subject(f"{self.name}/versions/{self.version}")


def versions_in(path: Path) -> Iterator[CheckResult | VersionFolder]:
    """Find what to examine: a version folder, a model's newest version, or that of each model.

    Yields the result of each look at the layout, and the versions found.
    """
    if not path.is_dir() or (path / SAVED_MODEL_FILE).exists() or _is_version(path.name):
        yield from _one_version(path)
    elif any(_is_version(child.name) for child in path.iterdir()) or (not _models(path)):
        yield from _newest(path)
    else:
        for model in _models(path):
            yield from _newest(model)


def _one_version(path: Path) -> Iterator[CheckResult | VersionFolder]:
    about = Subject(str(path))
    if not path.is_dir():
        yield about.failed(LAYOUT, f"{path} is a file, and Serving fails on a version that is none", _RIGHT)
        return
    if _is_version(path.name):
        yield about.passed(LAYOUT, f"version {int(path.name)} of {path.parent.name}")
        yield VersionFolder(path.parent.name, int(path.name), path)
        return
    yield about.failed(
        LAYOUT,
        f"{SAVED_MODEL_FILE} lies directly under {path.name}, which is no version number: Serving ignores it",
        f"{path.name}/1/{SAVED_MODEL_FILE}",
    )
    yield VersionFolder(path.name, 1, path)


def _newest(model: Path) -> Iterator[CheckResult | VersionFolder]:
    """The version that Serving would serve: the highest."""
    about = Subject(str(model))
    numbered = [child for child in model.iterdir() if _is_version(child.name)]
    files = [child.name for child in numbered if not child.is_dir()]
    if (model / SAVED_MODEL_FILE).exists():
        yield from _one_version(model)
        return
    if not numbered:
        names = sorted(child.name for child in model.iterdir())
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        others = ", ".join(names[:_NAMED]) + more or "nothing"
        yield about.failed(LAYOUT, f"{model.name} holds {others}, and no version folder", _RIGHT)
        return
    newest = max((child for child in numbered if child.is_dir()), key=_number, default=None)
    if files:
        told = ", ".join(sorted(files))
        yield about.failed(
            LAYOUT, f"{told} in {model.name} is a file; Serving takes it for a version and fails", _RIGHT
        )
    elif newest is not None:
        numbers = sorted(_number(child) for child in numbered)
        yield about.passed(LAYOUT, f"versions {', '.join(map(str, numbers))}; {numbers[-1]} is served")
    if newest is not None:
        yield VersionFolder(model.name, _number(newest), newest)


def _models(path: Path) -> list[Path]:
    """Children that look like models: they hold a version, or an export that lacks its version folder."""
    return sorted(
        child
        for child in path.iterdir()
        if child.is_dir()
        and ((child / SAVED_MODEL_FILE).exists() or any(_is_version(item.name) for item in child.iterdir()))
    )


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdigit() and int(name) <= LAST_VERSION


def _number(folder: Path) -> int:
    return int(folder.name)
