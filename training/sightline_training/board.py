"""A run as TensorBoard shows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from sightline.contract import DETECTION_OUTPUTS
from sightline_training.coco_metrics import CocoMetrics
from sightline_training.examples import Dataset

_PICTURES: Final = 6
_SHOWN: Final = 0.3  # score from which a predicted box is drawn
_TRUE, _PREDICTED = (0.0, 1.0, 0.0), (1.0, 0.2, 0.2)  # RGB, 0 to 1


class Board:
    """Writes TensorBoard's event files; a resumed run writes on beside what is there."""

    def __init__(self, folder: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(folder))

    def losses(self, step: int, values: Mapping[str, float]) -> None:
        """Losses and learning rate."""
        with self._writer.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(f"training/{name}", value)

    def evaluation(
        self,
        step: int,
        metrics: CocoMetrics,
        dataset: Dataset,
        pixels: NDArray[np.uint8],
        found: Mapping[str, NDArray[np.float32]],
    ) -> None:
        """Average precisions, and pictures with true boxes in green and predicted ones in red."""
        with self._writer.as_default(step):
            for name, value in metrics.flat().items():
                tf.summary.scalar(f"held out/{name}", value)
            shown = [self._drawn(dataset, pixels, found, n) for n in range(min(_PICTURES, len(pixels)))]
            tf.summary.image("held out", tf.concat(shown, 0), max_outputs=_PICTURES)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()

    @staticmethod
    def _drawn(
        dataset: Dataset, pixels: NDArray[np.uint8], found: Mapping[str, NDArray[np.float32]], number: int
    ) -> tf.Tensor:
        boxes, scores, _, counts = (found[name][number] for name in DETECTION_OUTPUTS)
        sure = boxes[: int(counts)][scores[: int(counts)] >= _SHOWN]
        true = dataset.examples[number].corners()
        corners = np.concatenate([true, sure])[None]
        colors = np.array([_TRUE] * len(true) + [_PREDICTED] * len(sure), np.float32).reshape(-1, 3)
        picture = tf.cast(pixels[number : number + 1], tf.float32) / 255
        return tf.image.draw_bounding_boxes(picture, corners, colors) if corners.size else picture
