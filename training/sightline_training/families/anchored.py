"""Networks that say a code and class scores for each of many anchors: SSD, RetinaNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from sightline_training.boxes import decode
from sightline_training.losses import AnchoredLoss
from sightline_training.model import BOXES, CLASSES
from sightline_training.suppression import SuppressionOptions
from sightline_training.targets import Matcher

if TYPE_CHECKING:
    from sightline_training.families.family import Targets
    from sightline_training.run import FitOptions


class Anchored:
    """What such networks share; their outputs are BOXES and CLASSES as `sightline_training.model` has them.

    Args:
        classes: how many.
        anchors: float32 [A, 4], center y, center x, height, width, 0 to 1.
    """

    suppression = SuppressionOptions(vote=0.8, rival=0.5)  # chosen on validation folds of photographs

    def __init__(self, classes: int, anchors: NDArray[np.float32]) -> None:
        self._classes = classes
        self._anchors = anchors

    def targets(self, options: FitOptions) -> Targets:
        """As `Family.targets`."""
        match = Matcher(self._anchors, self._classes, matched=options.matched, unmatched=options.unmatched)

        def make(corners: tf.Tensor, class_ids: tf.Tensor) -> dict[str, tf.Tensor]:
            boxes, classes = match(corners, class_ids)
            return {BOXES: boxes, CLASSES: classes}

        return make

    def compile(self, model: keras.Model, optimizer: keras.Optimizer, options: FitOptions) -> None:
        """As `Family.compile`."""
        loss = AnchoredLoss(self._anchors, options.overlap_weight, options.class_loss, options.focal_alpha)
        model.teach(loss, (BOXES, CLASSES))
        model.compile(optimizer=optimizer, jit_compile=False)  # XLA on the CPU is ten times slower

    def read(self, said: dict[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
        """As `Family.read`."""
        return decode(said[BOXES], tf.constant(self._anchors)), tf.sigmoid(said[CLASSES])
