"""The state of a run in one file, so that a kill at any moment leaves the last one or the one before."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from sightline.errors import InputError
from sightline.whole_file import whole_file

_WEIGHTS: Final = "weights:"
_OPTIMIZER: Final = "optimizer:"
_NOTES: Final = "notes"  # JSON
_NUMBERED: Final = re.compile(r"\b(adam|seed_generator)_\d+/")  # by how many the process has made before


def save(path: Path, model: keras.Model, optimizer: keras.Optimizer | None = None, **notes: object) -> None:
    """Write weights, the optimizer's state if there is one, and notes that JSON can hold."""
    arrays = {_WEIGHTS + _name(variable): variable.numpy() for variable in model.variables}
    if optimizer is not None:
        arrays |= {_OPTIMIZER + _name(variable): variable.numpy() for variable in optimizer.variables}
    arrays[_NOTES] = np.array(json.dumps(notes))
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        np.savez(file, **arrays)


def restore(path: Path, model: keras.Model, optimizer: keras.Optimizer | None = None) -> dict[str, Any]:
    """Put a file's state into a model, and an optimizer if one is given. Returns the notes.

    Raises:
        InputError: the file is no checkpoint, or is one of another architecture.
    """
    arrays = read(path)
    _assign(path, _WEIGHTS, model.variables, arrays)
    if optimizer is not None:
        optimizer.build(model.trainable_variables)
        _assign(path, _OPTIMIZER, optimizer.variables, arrays)
    notes: dict[str, Any] = json.loads(str(arrays[_NOTES]))
    return notes


def read(path: Path) -> dict[str, Any]:
    """All arrays of a checkpoint by their full names.

    Raises:
        InputError: the file is missing or no checkpoint.
    """
    try:
        # Opened here: numpy leaves a file open that it cannot read.
        with path.open("rb") as file, np.load(file) as stored:
            arrays = dict(stored)
    except FileNotFoundError:
        raise InputError(f"there is no checkpoint {path}") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        raise InputError(f"{path} is no checkpoint of a run (an .npz file)") from None
    if _NOTES not in arrays:
        raise InputError(f"{path} is an .npz file, but no checkpoint of a run")
    return arrays


def weights(path: Path) -> dict[str, Any]:
    """The network's weights in a checkpoint by variable path, such as `Conv2d_0/kernel`."""
    found = read(path)
    return {name.removeprefix(_WEIGHTS): found[name] for name in found if name.startswith(_WEIGHTS)}


def _name(variable: Any) -> str:
    """A variable's path, the same in every process."""
    return _NUMBERED.sub(r"\1/", str(variable.path))


def _assign(path: Path, kind: str, variables: Any, arrays: Mapping[str, Any]) -> None:
    for variable in variables:
        stored = arrays.get(kind + _name(variable))
        if stored is None or stored.shape != tuple(variable.shape):
            found = "is missing" if stored is None else f"has shape {stored.shape}"
            raise InputError(
                f"{path} does not fit: {variable.path} {found}, the network wants {tuple(variable.shape)}"
            )
        variable.assign(stored)
