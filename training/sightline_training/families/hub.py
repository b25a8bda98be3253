"""KerasHub's detectors as networks of ours: described, built again, begun from their published weights."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from sightline.errors import InputError
from sightline_training.families.family import Described

RETINANET: Final = "retinanet"
D_FINE: Final = "d_fine"
_TASKS: Final = {"RetinaNetObjectDetector": RETINANET, "DFineObjectDetector": D_FINE}  # class -> family
_TASK_FILE: Final = "task.json"  # in the folder of a KerasHub preset
_NAMES: Final = ("retinanet_", "dfine_")  # with which KerasHub's own names of such presets begin
_STRIDE: Final = 32  # pixels; the feature pyramids are halved so often that other sizes do not fit together
_CHANNELS: Final = 3


@dataclass(frozen=True, slots=True)
class HubArchitecture:
    """A KerasHub detector."""

    family: str  # RETINANET or D_FINE
    classes: int
    height: int  # pixels of the input
    width: int
    config: Mapping[str, Any]  # the detector as Keras serialises it, for these classes and this size
    scale: Sequence[float]  # pixels are multiplied by it, then `offset` is added; one for each channel
    offset: Sequence[float]


@dataclass(frozen=True, slots=True)
class HubStart:
    """The weights of a KerasHub detector, and what they say of it."""

    architecture: HubArchitecture  # that they came from
    values: tuple[NDArray[np.generic], ...]  # in the order of the network's variables
    source: str

    @property
    def family(self) -> str:
        """Of the network that they fit."""
        return self.architecture.family

    def fit(self, wanted: Described) -> HubArchitecture:
        """Their architecture, for other classes and another size.

        Raises:
            InputError: the size is none that the network's feature maps can have.
        """
        if wanted.height % _STRIDE or wanted.width % _STRIDE:
            raise InputError(
                f"the input is {wanted.height} x {wanted.width} pixels; "
                f"a {self.family} takes multiples of {_STRIDE}"
            )
        config = copy.deepcopy(dict(self.architecture.config))
        _adapt(config, wanted)
        return HubArchitecture(
            self.family,
            wanted.classes,
            wanted.height,
            wanted.width,
            config,
            self.architecture.scale,
            self.architecture.offset,
        )

    def put_into(self, model: keras.Model) -> list[str]:
        """Set every variable whose shape agrees. Returns the paths of the others, which stay random."""
        fresh = []
        for variable, value in zip(model.variables, self.values, strict=True):
            if tuple(variable.shape) == value.shape:
                variable.assign(value)
            else:
                fresh.append(variable.path)
        return fresh


def _adapt(config: dict[str, Any], wanted: Described) -> None:
    """Change a serialised detector in place to other classes and another size."""
    shape = [wanted.height, wanted.width, _CHANNELS]
    detector, backbone = config["config"], config["config"]["backbone"]["config"]
    detector["num_classes"] = wanted.classes
    backbone["image_shape"] = shape
    if "anchor_image_size" in backbone:  # D-FINE's
        backbone |= {"num_labels": wanted.classes, "anchor_image_size": shape[:2]}
        backbone["backbone"]["config"]["image_shape"] = shape


def is_hub_source(source: str) -> bool:
    """Whether weights to start from are a folder of KerasHub's, or one of its names."""
    path = Path(source)
    return (path / _TASK_FILE).is_file() or (not path.exists() and source.startswith(_NAMES))


def read_hub_start(source: str) -> HubStart:
    """Read a KerasHub preset: a folder, or a name that KerasHub downloads.

    Raises:
        InputError: it is another kind of model, or cannot be read.
    """
    hub = keras_hub()
    path = Path(source)
    if path.is_dir():
        _check_task(path)
    try:
        task = hub.models.ObjectDetector.from_preset(source)
    except (ValueError, OSError, KeyError, TypeError) as fault:
        raise InputError(f"KerasHub cannot read {source}: {fault}") from None
    return _start_of(task, source)


def _check_task(folder: Path) -> None:
    try:
        told = json.loads((folder / _TASK_FILE).read_text(encoding="utf-8"))["class_name"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{folder / _TASK_FILE} is no description of a KerasHub model") from None
    if told not in _TASKS:
        raise InputError(f"{folder} is a KerasHub {told}; expected is one of {', '.join(_TASKS)}")


def _start_of(task: keras.Model, source: str) -> HubStart:
    converter = getattr(task.preprocessor, "image_converter", None)
    scale, offset = _channels(converter, "scale", 1.0), _channels(converter, "offset", 0.0)
    config = keras.saving.serialize_keras_object(task)
    for unwanted in ("compile_config", "build_config"):
        config.pop(unwanted, None)
    config["config"]["preprocessor"] = None  # its scale and offset are ours to apply, its resize is not used
    plain = json.loads(json.dumps(config))  # as a run's settings give it back
    family = _TASKS[type(task).__name__]
    height, width, _ = task.backbone.image_shape
    known = HubArchitecture(family, task.num_classes, height or 0, width or 0, plain, scale, offset)
    return HubStart(known, tuple(variable.numpy() for variable in task.variables), source)


def _channels(converter: Any, name: str, default: float) -> tuple[float, ...]:
    value = getattr(converter, name, None)
    numbers = np.broadcast_to(np.asarray(default if value is None else value, float).ravel(), _CHANNELS)
    return tuple(float(number) for number in numbers)


def keras_hub() -> ModuleType:
    """The library.

    Raises:
        InputError: it is not installed.
    """
    try:
        import keras_hub as library
    except ImportError:
        raise InputError(
            "RetinaNet and D-FINE come from KerasHub; install it with pip install 'sightline-training[hub]'"
        ) from None
    found: ModuleType = library
    return found


def build_task(architecture: HubArchitecture) -> keras.Model:
    """KerasHub's own model with random weights: scaled pixels to its raw heads."""
    keras_hub()  # registers its classes
    return keras.saving.deserialize_keras_object(copy.deepcopy(dict(architecture.config)))


def scaled_input(architecture: HubArchitecture) -> tuple[Any, Any]:
    """The input of a network, 0 to 255, and what KerasHub's model is given of it."""
    pixels = keras.Input((architecture.height, architecture.width, _CHANNELS), name="images")
    scale, offset = (list(values) for values in (architecture.scale, architecture.offset))
    return pixels, keras.layers.Rescaling(scale, offset, name="Scaled")(pixels)


def freeze_hub(model: keras.Model, count: int) -> None:
    """As `Family.freeze`, and all batch normalisation, wherever it is.

    A batch that fits into memory at these sizes is too small to take statistics from; the published
    weights were trained with statistics of ImageNet or of large batches.
    """
    convolutions = 0
    for layer in every_layer(model):
        convolutions += isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
        normalises = isinstance(layer, keras.layers.BatchNormalization)
        if normalises or (convolutions <= count and layer.variables and not sublayers(layer)):
            layer.trainable = False


def every_layer(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """A layer and all that are in it, first to last."""
    inner = [found for part in sublayers(layer) for found in every_layer(part)]
    return [layer, *inner]


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers that a layer is made of."""
    return list(layer._flatten_layers(include_self=False, recursive=False))
