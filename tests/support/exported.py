"""A tiny exported detector with random weights: real signatures, real answers, made in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

NAME = "droids"
SIZE = 96  # pixels of the input
CLASS_SPREAD = 0.3  # of the class predictors' weights: wide enough that pictures get different boxes


def exported_models(cache: Path, *, name: str = NAME, version: int = 1, seed: int = 0) -> Path:
    """A MODELS folder that holds `name`/`version`; made once for each cache folder.

    The weights are random from `seed`, so boxes mean nothing, but they are many, spread over both
    classes, and the same for the same picture.
    """
    from sightline_training.export import export_version
    from sightline_training.synthetic import LABELS

    models = cache / "models"
    if (models / name / str(version)).is_dir():
        return models
    model, architecture = random_network(seed)
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    thresholds = dict.fromkeys(LABELS.by_id, 0.5)
    export_version(
        models / name, model, architecture, LABELS, pictures, version=version, thresholds=thresholds
    )
    return models


def random_network(seed: int = 0) -> tuple[Any, Any]:
    """A Keras network with random weights, and its architecture: uint8 [N, SIZE, SIZE, 3], two classes."""
    import keras

    from sightline_training.model import Architecture, build_ssd
    from sightline_training.synthetic import LABELS

    keras.utils.set_random_seed(seed)
    architecture = Architecture(len(LABELS), SIZE, SIZE, multiplier=0.25, batch_norm=False)
    model = build_ssd(architecture)
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.name.endswith("_ClassPredictor"):
            kernel, bias = layer.get_weights()
            layer.set_weights([rng.normal(0, CLASS_SPREAD, kernel.shape), bias * 0])
    return model, architecture


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MODELS folder with version 1 of `droids`. Import it in a conftest to use it."""
    return exported_models(tmp_path_factory.mktemp("exported"))
