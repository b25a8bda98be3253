"""The weights of a TFLite SSD MobileNet V1, dequantised, under our layer names.

Meant for the TensorFlow team's `coco_ssd_mobilenet_v1_1.0_quant_2018_06_29`: width 0.75, batch norm folded
into the convolutions, 8-bit weights and 32-bit biases, one scale each.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from sightline.errors import InputError

Weights = dict[str, list[NDArray[np.float32]]]  # layer name -> kernel and bias, as Keras lays them out

_BACKBONE: Final = re.compile(r"FeatureExtractor/MobilenetV1/(?:MobilenetV1/)?(\w+?)/(.+)")
_PREDICTOR: Final = re.compile(r"(BoxPredictor_\d)/(\w+Predictor)/(.+)")
_DEPTH: Final = re.compile(r"(_(?:1x1|3x3_s2))_\d+$")  # the API ends these names in the number of filters
_KERNEL: Final = "weights_quant/"
_BIASES: Final = ("Conv2D_Fold_bias", "depthwise_Fold_bias", "Conv2D_bias")


def read_tflite(path: Path) -> Weights:
    """Read all layers of a file.

    The class predictors lose their background column, which a sigmoid detector never asks.

    Raises:
        InputError: the file is no TFLite model, or not of an SSD MobileNet V1.
    """
    interpreter = open_tflite(path)
    layers: dict[str, dict[str, NDArray[np.float32]]] = {}
    for details in interpreter.get_tensor_details():
        place = _place_of(details["name"])
        if place is not None:
            layer, kind = place
            layers.setdefault(layer, {})[kind] = _dequantized(interpreter, details)
    weights = {
        name: [_as_keras(found["kernel"]), found["bias"]]
        for name, found in layers.items()
        if found.keys() == {"kernel", "bias"}
    }
    if "Conv2d_0" not in weights or "BoxPredictor_0_ClassPredictor" not in weights:
        raise InputError(f"{path} is a TFLite model, but not of an SSD MobileNet V1 with these layers named")
    return {name: _without_background(name, values, weights) for name, values in weights.items()}


def open_tflite(path: Path, *, keep_all: bool = False) -> Any:
    """An interpreter of a TFLite file, ready to run; `keep_all` lets inner tensors be read after a run.

    Raises:
        InputError: the file is no TFLite model.
    """
    with warnings.catch_warnings():
        # TensorFlow announces the interpreter's move to a package of its own, which has no wheel everywhere.
        warnings.simplefilter("ignore", UserWarning)
        # To be read only, it does without the default delegate, which greets on standard error.
        kinds = tf.lite.experimental.OpResolverType
        resolver = kinds.AUTO if keep_all else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            interpreter = tf.lite.Interpreter(
                str(path),
                experimental_op_resolver_type=resolver,
                experimental_preserve_all_tensors=keep_all,
            )
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as fault:
            raise InputError(f"{path} is no TFLite model that can be run: {fault}") from None
    return interpreter


def _place_of(name: str) -> tuple[str, str] | None:
    """The layer of a tensor, and whether it is its kernel or bias."""
    backbone, predictor = _BACKBONE.fullmatch(name), _PREDICTOR.fullmatch(name)
    if backbone is not None:
        layer, rest = _DEPTH.sub(r"\1", backbone[1]), backbone[2]
    elif predictor is not None:
        layer, rest = f"{predictor[1]}_{predictor[2]}", predictor[3]
    else:
        return None
    if rest.startswith(_KERNEL):
        return layer, "kernel"
    return (layer, "bias") if rest in _BIASES else None


def _dequantized(interpreter: Any, details: Mapping[str, Any]) -> NDArray[np.float32]:
    stored = interpreter.get_tensor(details["index"])
    scale, zero = details["quantization"]
    return np.asarray((stored.astype(np.float64) - zero) * scale, np.float32)


def _as_keras(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """TFLite's output, height, width, input to Keras' order; a depthwise kernel's output is 1."""
    return np.ascontiguousarray(kernel.transpose(1, 2, 3, 0))


def _without_background(
    name: str, values: list[NDArray[np.float32]], weights: Weights
) -> list[NDArray[np.float32]]:
    if not name.endswith("_ClassPredictor"):
        return values
    kernel, bias = values
    anchors = weights[name.replace("_Class", "_BoxEncoding")][1].size // 4
    by_anchor = kernel.reshape(*kernel.shape[:-1], anchors, -1)[..., 1:]
    return [by_anchor.reshape(*kernel.shape[:-1], -1), bias.reshape(anchors, -1)[:, 1:].reshape(-1)]
