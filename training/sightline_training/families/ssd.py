"""The SSD on MobileNet V1 of `sightline_training.model`."""

from __future__ import annotations

import keras

from sightline_training.families.anchored import Anchored
from sightline_training.families.taught import TaughtNetwork
from sightline_training.folding import fold_batch_norm
from sightline_training.model import Architecture, build_ssd


class Ssd(Anchored):
    """As `Family`."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture.classes, architecture.anchors())
        self._architecture = architecture

    def build(self) -> keras.Model:
        """As `Family.build`."""
        net = build_ssd(self._architecture)
        return TaughtNetwork(net.inputs[0], net.output, name=net.name)

    def freeze(self, model: keras.Model, count: int) -> None:
        """As `Family.freeze`."""
        convolutions = 0
        for layer in model.layers:
            convolutions += isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
            if convolutions > count:
                return
            layer.trainable = False

    def served(self, model: keras.Model) -> tuple[keras.Model, Architecture]:
        """As `Family.served`: batch normalisation is taken into the convolutions."""
        return fold_batch_norm(model, self._architecture)
