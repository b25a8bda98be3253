"""The network with everything that turns pictures into boxes: what is evaluated and what is exported."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from sightline.contract import DETECTION_OUTPUTS
from sightline_training.families import Described, family_of
from sightline_training.suppression import SuppressionOptions, suppress


class Detector:
    """Pictures at input size -> the four outputs of the serving contract.

    Args:
        model: the network, as its family builds it.
        architecture: what it was built of.
        options: which boxes are kept; None takes the family's own.
    """

    def __init__(
        self,
        model: keras.Model,
        architecture: Described,
        options: SuppressionOptions | None = None,
    ) -> None:
        self.model = model
        self.architecture = architecture
        self._family = family_of(architecture)
        self._options = options or self._family.suppression
        self._compiled = tf.function(self.detect, reduce_retracing=True)

    def detect(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        """The graph: pixels uint8 or float32 [N, H, W, 3] RGB, 0 to 255, to the contract's outputs."""
        said = self.model(tf.cast(pixels, tf.float32), training=False)
        return suppress(*self._family.read(said), self._options)

    def __call__(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """As `detect`, on arrays."""
        found = self._compiled(tf.constant(pixels))
        return {name: found[name].numpy() for name in DETECTION_OUTPUTS}
