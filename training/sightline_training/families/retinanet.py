"""KerasHub's RetinaNet (Lin et al. 2017): its network; targets, losses and decoding are those of the SSD."""

from __future__ import annotations

import math
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from sightline_training.boxes import CODER_SCALES
from sightline_training.families.anchored import Anchored
from sightline_training.families.hub import HubArchitecture, build_task, freeze_hub, keras_hub, scaled_input
from sightline_training.families.taught import TaughtNetwork
from sightline_training.model import BOXES, CLASSES

_TO_YX: Final = (1, 0, 3, 2)  # KerasHub's codes are dx dy dw dh, ours ty tx th tw
_PRIOR: Final = 0.01  # score of an untrained anchor (Lin 2017)


class RetinaNet(Anchored):
    """As `Family`."""

    def __init__(self, architecture: HubArchitecture) -> None:
        super().__init__(architecture.classes, _anchors(architecture))
        self._architecture = architecture

    def build(self) -> keras.Model:
        """As `Family.build`."""
        task = build_task(self._architecture)
        # KerasHub gives this bias to the box head, where it has no use.
        bias = task.classification_head.prediction_layer.bias
        bias.assign(np.full(bias.shape, math.log(_PRIOR / (1 - _PRIOR))))
        pixels, scaled = scaled_input(self._architecture)
        said = task(scaled)
        codes = keras.ops.take(said["bbox_regression"], _TO_YX, axis=-1) * np.array(CODER_SCALES, np.float32)
        return TaughtNetwork(
            pixels, {BOXES: codes, CLASSES: said["cls_logits"]}, name=self._architecture.family
        )

    def freeze(self, model: keras.Model, count: int) -> None:
        """As `Family.freeze`."""
        freeze_hub(model, count)

    def served(self, model: keras.Model) -> tuple[keras.Model, HubArchitecture]:
        """As `Family.served`."""
        return model, self._architecture


def _anchors(architecture: HubArchitecture) -> NDArray[np.float32]:
    """KerasHub's anchors, float32 [A, 4], center y, center x, height, width, 0 to 1."""
    keras_hub()  # registers its classes
    generate = keras.saving.deserialize_keras_object(dict(architecture.config["config"]["anchor_generator"]))
    levels = generate(np.zeros((1, architecture.height, architecture.width, 3), np.float32))
    corners = keras.utils.bounding_boxes.convert_format(
        np.concatenate([np.asarray(level) for level in levels.values()]),
        source=generate.bounding_box_format,
        target="yxyx",
    )
    low, high = np.asarray(corners)[:, :2], np.asarray(corners)[:, 2:]
    size = np.array([architecture.height, architecture.width], np.float32)
    return np.concatenate([(low + high) / 2 / size, (high - low) / size], -1).astype(np.float32)
