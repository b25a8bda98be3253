"""A run as TensorBoard shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from sightline.contract import DETECTION_OUTPUTS
from sightline.detections import Detection, ImageSize
from sightline.draw import draw
from sightline.geometry import Stretch
from sightline_training.coco_metrics import CocoMetrics
from sightline_training.examples import Dataset

_PICTURES: Final = 6
_SHOWN: Final = 0.3  # score from which a predicted box is drawn
_TRUE_LINES: Final = (((0, 0, 0), 5), ((255, 255, 255), 3))  # RGB and pixels: white on a dark rim
_SIDE: Final = 320  # pixels; smaller pictures are enlarged until text on them can be read


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
        """Average precisions, and pictures with labelled boxes in white, and found ones in color."""
        with self._writer.as_default(step):
            for name, value in metrics.flat().items():
                tf.summary.scalar(f"held out/{name}", value)
            # Spread over the set, which is often sorted by class.
            spread = np.linspace(0, len(pixels) - 1, min(_PICTURES, len(pixels))).round().astype(int)
            shown = [_drawn(dataset, pixels[number], found, number) for number in spread]
            tf.summary.image("held out", np.stack(shown), max_outputs=_PICTURES)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def _drawn(
    dataset: Dataset, pixels: NDArray[np.uint8], found: Mapping[str, NDArray[np.float32]], number: int
) -> NDArray[np.uint8]:
    """A picture at input size, perhaps enlarged, with the boxes of its labels and those found."""
    height, width = pixels.shape[:2]
    scale = max(1, math.ceil(_SIDE / max(height, width)))
    size = Stretch(scale * height, scale * width)
    canvas = np.array(size.apply(pixels))
    for place in size.to_pixels(dataset.examples[number].corners(), size.height, size.width):
        top, left, bottom, right = (round(float(edge)) for edge in place)
        for color, line in _TRUE_LINES:
            cv2.rectangle(canvas, (left, top), (right, bottom), color, line)
    boxes, scores, classes, _ = (found[name][number] for name in DETECTION_OUTPUTS)
    said = [
        Detection.make(
            dataset.labels.by_id[int(classes[slot])],
            int(classes[slot]),
            float(scores[slot]),
            boxes[slot],
            ImageSize(size.width, size.height),
        )
        for slot in np.flatnonzero(scores >= _SHOWN)
    ]
    return draw(canvas, said)
