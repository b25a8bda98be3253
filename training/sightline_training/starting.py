"""Weights to start from: a published COCO detector, an ImageNet backbone, an earlier run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from sightline.errors import InputError
from sightline_training import checkpoint
from sightline_training.families.choosing import SSD
from sightline_training.families.hub import HubArchitecture, HubStart, is_hub_source, read_hub_start
from sightline_training.file_kinds import kind_of, kind_of_folder
from sightline_training.model import Architecture
from sightline_training.run import Run
from sightline_training.tflite_weights import read_tflite

IMAGENET: Final = "imagenet"  # in place of a file
EXPECTED: Final = (
    "a quantised COCO SSD MobileNet V1 (.tflite), a run's folder, a run's checkpoint (.npz), "
    f"a Keras MobileNet V1 backbone (.h5, .keras), the word {IMAGENET}, "
    "or a folder of a KerasHub RetinaNet or D-FINE (task.json)"
)
_IMAGENET_SIDE: Final = 224  # pixels; by it Keras picks the file
_FIRST: Final = "Conv2d_0"
_FIRST_FILTERS: Final = 32  # at width 1

Weights = dict[str, list[NDArray[np.float32]]]  # layer name -> arrays, as `set_weights` takes them


class Start(Protocol):
    """Weights to start from, and what they say of the network they came from."""

    @property
    def family(self) -> str:
        """The kind of network that they fit."""

    @property
    def source(self) -> str:
        """The file, folder or word that they were read from."""

    def put_into(self, model: keras.Model) -> list[str]:
        """Set what fits. Returns the names of what does not, which stays random."""


@dataclass(frozen=True, slots=True)
class SsdStart:
    """Weights of an SSD by layer."""

    weights: Weights
    batch_norm: bool
    source: str
    family: str = SSD

    @property
    def multiplier(self) -> float:
        """The width of the network that they came from."""
        return float(self.weights[_FIRST][0].shape[-1]) / _FIRST_FILTERS

    def fit(self, architecture: Architecture) -> Architecture:
        """The architecture that takes these weights."""
        return replace(architecture, multiplier=self.multiplier, batch_norm=self.batch_norm)

    def put_into(self, model: keras.Model) -> list[str]:
        """Set every layer whose shapes agree. Returns the names of the others, which stay random.

        Class predictors agree only where the number of classes does; box predictors always.
        """
        fresh = []
        for layer in model.layers:
            if not layer.weights:
                continue
            arrays = self.weights.get(layer.name)
            if arrays is None or [array.shape for array in arrays] != [v.shape for v in layer.weights]:
                fresh.append(layer.name)
            else:
                layer.set_weights(arrays)
        return fresh


def read_start(source: str) -> Start:
    """Read starting weights.

    Raises:
        InputError: the file is missing, or is something else; it is named for what it is.
    """
    if source == IMAGENET:
        return from_backbone(_imagenet(), source)
    if is_hub_source(source):
        return read_hub_start(source)
    path = Path(source)
    if not path.exists():
        index = path.with_name(f"{path.name}.index")  # a checkpoint is called by what its files begin with
        if not index.exists():
            raise InputError(f"there are no weights {path}; expected is {EXPECTED}")
        path = index
    if path.is_dir():
        if (kind := kind_of_folder(path)) is not None:
            raise InputError(f"{path} holds {kind.text}; expected is {EXPECTED}")
        return _from_run(Run.open(path))
    kind = kind_of(path)
    readers: dict[str, Callable[[Path], Start]] = {
        "tflite": lambda file: SsdStart(read_tflite(file), batch_norm=False, source=str(file)),
        "npz": _from_checkpoint,
        "hdf5": _from_keras_file,
        "keras": _from_keras_file,
    }
    if kind.code not in readers:
        raise InputError(f"{path} is {kind.text}; expected is {EXPECTED}")
    return readers[kind.code](path)


def _imagenet() -> keras.Model:
    """The backbone from Keras' cache, or downloaded into it."""
    try:
        return keras.applications.MobileNet(
            input_shape=(_IMAGENET_SIDE, _IMAGENET_SIDE, 3), alpha=1.0, include_top=False, weights=IMAGENET
        )
    except Exception as fault:  # Keras raises nothing narrower where a download fails
        raise InputError(
            f"Keras cannot get MobileNet V1's ImageNet weights: {fault}. Get that file in another way and "
            "name it with --weights, or put it into ~/.keras/models"
        ) from None


def _from_run(run: Run) -> Start:
    architecture = run.settings.architecture
    if not isinstance(architecture, HubArchitecture):
        return _from_checkpoint(run.best)
    values = tuple(variable.numpy() for variable in run.trained().variables)
    return HubStart(architecture, values, str(run.folder))


def _from_checkpoint(path: Path) -> SsdStart:
    by_layer: Weights = {}
    for name, array in checkpoint.weights(path).items():
        by_layer.setdefault(name.split("/")[0], []).append(array)
    if _FIRST not in by_layer:
        raise InputError(f"{path} is a checkpoint of another network: it has no layer {_FIRST}")
    return SsdStart(
        by_layer, batch_norm=any(name.endswith("BatchNorm") for name in by_layer), source=str(path)
    )


def _from_keras_file(path: Path) -> SsdStart:
    try:
        if path.suffix == ".keras":
            backbone = keras.saving.load_model(path, compile=False)
        else:
            backbone = keras.applications.MobileNet(alpha=1.0, include_top=False, weights=str(path))
    except (ValueError, OSError, TypeError) as fault:
        raise InputError(f"{path} is no MobileNet V1 backbone of width 1 that Keras reads: {fault}") from None
    return from_backbone(backbone, str(path))


def from_backbone(backbone: keras.Model, source: str) -> SsdStart:
    """The convolutions of a `keras.applications.MobileNet`, under our names.

    Its strided convolutions pad at the other side than TensorFlow's SAME, a shift of one pixel that
    training takes up. The detector's own layers start random.

    Raises:
        InputError: the network is no MobileNet V1.
    """
    weights: Weights = {}
    try:
        for kind, ours in (("conv1", _FIRST), *_keras_names()):
            weights[ours] = backbone.get_layer(kind).get_weights()
            weights[f"{ours}_BatchNorm"] = backbone.get_layer(f"{kind}_bn").get_weights()
    except ValueError as fault:
        raise InputError(f"{source} is no MobileNet V1 backbone: {fault}") from None
    return SsdStart(weights, batch_norm=True, source=source)


def _keras_names() -> list[tuple[str, str]]:
    """(name in keras.applications, name here) of the separable convolutions' halves."""
    halves = (("dw", "depthwise"), ("pw", "pointwise"))
    return [
        (f"conv_{half}_{number}", f"Conv2d_{number}_{ours}")
        for number in range(1, 14)
        for half, ours in halves
    ]
