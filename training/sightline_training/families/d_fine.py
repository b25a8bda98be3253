"""KerasHub's D-FINE (Peng et al. 2024): a set of boxes, each matched to one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from sightline_training.boxes import to_centered, to_corners
from sightline_training.families.hub import (
    HubArchitecture,
    build_task,
    every_layer,
    freeze_hub,
    scaled_input,
)
from sightline_training.families.set_loss import SetLoss
from sightline_training.families.taught import TaughtNetwork
from sightline_training.suppression import SuppressionOptions

if TYPE_CHECKING:
    from sightline_training.families.family import Targets
    from sightline_training.run import FitOptions

TRUE_BOXES = "boxes"  # target float32 [N, B, 4], center x, center y, width, height, 0 to 1
TRUE_LABELS = "labels"  # target int32 [N, B], from 0; -1 where there is no box


class DFine:
    """As `Family`."""

    # Its boxes are a set already: only what is nearly the same box twice is taken out.
    suppression = SuppressionOptions(iou=0.8)

    def __init__(self, architecture: HubArchitecture) -> None:
        self._architecture = architecture

    def build(self) -> keras.Model:
        """As `Family.build`."""
        task = build_task(self._architecture)
        for layer in every_layer(task):
            if isinstance(layer, keras.layers.Conv2D):
                _without_xla(layer)
        pixels, scaled = scaled_input(self._architecture)
        model = TaughtNetwork(pixels, task(scaled), name=self._architecture.family)
        loss = SetLoss(task)
        model.teach(lambda true, said: {"set": loss(true, said)})
        return model

    def freeze(self, model: keras.Model, count: int) -> None:
        """As `Family.freeze`."""
        freeze_hub(model, count)
        for layer in every_layer(model):
            if layer.name == "denoising_class_embed":  # of queries that are not asked here
                layer.trainable = False

    def targets(self, options: FitOptions) -> Targets:
        """As `Family.targets`; a difficult box is not asked for, and counts as background."""
        return _targets

    def compile(self, model: keras.Model, optimizer: keras.Optimizer, options: FitOptions) -> None:
        """As `Family.compile`."""
        model.compile(optimizer=optimizer, jit_compile=False)

    def read(self, said: dict[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
        """As `Family.read`."""
        return to_corners(tf.gather(said["pred_boxes"], (1, 0, 3, 2), axis=-1)), tf.sigmoid(said["logits"])

    def served(self, model: keras.Model) -> tuple[keras.Model, HubArchitecture]:
        """As `Family.served`."""
        return model, self._architecture


def _targets(corners: tf.Tensor, class_ids: tf.Tensor) -> dict[str, tf.Tensor]:
    centered = tf.gather(to_centered(corners), (1, 0, 3, 2), axis=-1)
    return {TRUE_BOXES: centered, TRUE_LABELS: tf.maximum(class_ids, 0) - 1}


def _without_xla(layer: keras.layers.Conv2D) -> None:
    """Compute a convolution with a group for each channel by TensorFlow's own depthwise operation.

    Keras computes grouped convolutions through XLA, which is slow on the CPU, and which a saved graph would
    ask of every server.
    """
    if layer.groups == 1 or layer.groups != layer.filters or tuple(layer.dilation_rate) != (1, 1):
        return

    def convolve(inputs: tf.Tensor, kernel: Any) -> tf.Tensor:
        depthwise = tf.transpose(tf.convert_to_tensor(kernel), (0, 1, 3, 2))
        return tf.nn.depthwise_conv2d(inputs, depthwise, (1, *layer.strides, 1), layer.padding.upper())

    layer.convolution_op = convolve
