"""The detector that is measured: the training package's SSD MobileNet V1 at its usual size, exported.

Its weights are random and seeded, so that nobody has to train before measuring: what a network costs does
not depend on what it has learnt. What suppression costs does, so the class scores are scaled to a
trained detector's: most anchors far below the threshold, some hundreds above it, a few sure of themselves.

    python -m bench.model FOLDER      # makes FOLDER/ssd/1 unless it is there, and prints its path
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

WIDTH: Final = 0.75  # of MobileNet, as the published COCO weights have it
NAME: Final = "ssd"
_SEED: Final = 20
_MEAN, _SPREAD = -5.0, 2.0  # of the class logits on a picture


def build(folder: Path) -> Path:
    """Export the detector to `folder/ssd/1`, unless it is there; gives the version folder."""
    version = folder / NAME / "1"
    if version.is_dir():
        return version
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import cv2
    import keras
    import numpy as np

    from bench.null_serving import LABELS, SIDE
    from bench.pictures import USUAL, draw
    from sightline_training.export import export_version
    from sightline_training.labels import LabelMap
    from sightline_training.model import CLASSES, Architecture, build_ssd

    keras.utils.set_random_seed(_SEED)
    architecture = Architecture(classes=len(LABELS), height=SIDE, width=SIDE, multiplier=WIDTH)
    network = build_ssd(architecture)
    pictures = np.stack(
        [cv2.cvtColor(cv2.resize(draw(USUAL, seed), (SIDE, SIDE)), cv2.COLOR_BGR2RGB) for seed in (7, 8)]
    )
    logits = network(pictures.astype(np.float32), training=False)[CLASSES].numpy()
    scale = _SPREAD / logits.std()
    for layer in network.layers:
        if layer.name.endswith("_ClassPredictor"):
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * scale, (bias - logits.mean()) * scale + _MEAN])
    return export_version(
        folder / NAME, network, architecture, LabelMap.from_ids(LABELS), pictures, version=1
    )


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
