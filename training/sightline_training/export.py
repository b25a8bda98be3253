"""A trained detector -> a version folder of the serving contract, whole or not there at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from sightline.contract import (
    ASSETS_EXTRA,
    GOLDEN_FOLDER,
    LAST_VERSION,
    OUTPUT_SCORES,
    WARMUP_FILE,
    ModelCard,
)
from sightline.errors import InputError
from sightline_training.detector import Detector
from sightline_training.families import Described, family_of
from sightline_training.golden import write_golden
from sightline_training.labels import LabelMap
from sightline_training.precision import full_precision
from sightline_training.proof import prove
from sightline_training.replacing import new_folder
from sightline_training.served import ServedDetector
from sightline_training.suppression import SuppressionOptions
from sightline_training.tensorflow_faults import writing
from sightline_training.versions import next_version, versions_of
from sightline_training.warmup import write_warmup

GOLDEN_PICTURES: Final = 4
_MADE_BY: Final = ("sightline-training", "tensorflow", "keras")


def export_version(
    base: Path,
    model: keras.Model,
    architecture: Described,
    labels: LabelMap,
    pictures: NDArray[np.uint8],
    *,
    version: int | None = None,
    thresholds: Mapping[int, float] | None = None,
    metrics: Mapping[str, float] | None = None,
    data: Mapping[str, Any] | None = None,
    suppression: SuppressionOptions | None = None,
    warmup_batches: Sequence[int] = (),
) -> Path:
    """Write a version folder and prove it before it gets its name.

    Args:
        base: `MODELS/<name>`; the model is called as this folder is.
        model: the network, as its family builds it.
        architecture: what it was built of.
        labels: its classes.
        pictures: uint8 [n, H, W, 3] RGB at input size, n at least 1: for warm-up and as golden pictures.
        version: its number; None takes the next.
        thresholds: class id -> score that maximises F1, for the card; so are `metrics` and `data`.
        metrics: name -> value.
        data: fingerprint and size of the data.
        suppression: which boxes leave the graph.
        warmup_batches: sizes of batches that are warmed up beside a single picture, for servers on GPUs.

    Returns:
        The version folder.

    Raises:
        InputError: the version is there already, `base` is called like one, or the weights are no numbers.
        SignatureError: the saved version does not do what the model does; nothing is left behind.
    """
    number = next_version(base) if version is None else version
    if not 1 <= number <= LAST_VERSION:
        raise InputError(f"the version is {number}; it is a whole number from 1 to {LAST_VERSION}")
    if base.name.isascii() and base.name.isdigit():
        raise InputError(
            f"{base} is called like a version; name the model's folder, {base.parent}, "
            f"and --version {base.name}"
        )
    if number in versions_of(base):
        raise InputError(f"{base} has a version {number} already; versions are never overwritten")
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise InputError("the weights hold values that are no finite numbers: the training diverged")
    detector = Detector(*family_of(architecture).served(model), suppression)
    card = ModelCard(
        name=base.name,
        labels=labels.by_id,
        input_height=architecture.height,
        input_width=architecture.width,
        thresholds=dict(thresholds or {}),
        metrics=dict(metrics or {}),
        data=dict(data or {}),
        versions={name: installed(name) for name in _MADE_BY},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    base.mkdir(parents=True, exist_ok=True)
    with new_folder(base / str(number)) as part, full_precision():
        _write(part, detector, card, pictures, warmup_batches)
    return base / str(number)


def _write(
    folder: Path,
    detector: Detector,
    card: ModelCard,
    pictures: NDArray[np.uint8],
    warmup_batches: Sequence[int],
) -> None:
    served = ServedDetector(detector, card)
    with writing(folder.parent):
        tf.saved_model.save(served, str(folder), signatures=served.signatures())
    found = detector(pictures)
    best = np.argsort(-found[OUTPUT_SCORES].max(axis=1), kind="stable")[:GOLDEN_PICTURES]
    golden, expected = pictures[best], {name: values[best] for name, values in found.items()}
    extra = folder / ASSETS_EXTRA
    extra.mkdir()
    write_warmup(extra / WARMUP_FILE, card.name, golden, batch_sizes=warmup_batches)
    write_golden(extra / GOLDEN_FOLDER, golden, expected)
    prove(folder, golden, expected, card)
