"""A trained detector that is asked about pictures: a run's, or an exported version's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from sightline.contract import (
    INPUT_IMAGES,
    INPUT_QUERY,
    OUTPUT_CARD,
    SIGNATURE_CARD,
    SIGNATURE_PIXELS,
    ModelCard,
)
from sightline.errors import InputError, SightlineError
from sightline.geometry import Stretch
from sightline_training.coco_metrics import predict
from sightline_training.detector import Detector
from sightline_training.examples import Dataset
from sightline_training.findings import Findings
from sightline_training.labels import LabelMap
from sightline_training.pictures import load_pictures
from sightline_training.proof import ServedModel
from sightline_training.run import Run
from sightline_training.versions import versions_of


@dataclass(frozen=True)
class Asked:
    """What can be asked, whichever way the detector is kept."""

    labels: LabelMap
    size: Stretch
    detect: Callable[[NDArray[np.uint8]], Mapping[str, NDArray[np.float32]]]  # pixels to contract's outputs

    def outputs(self, dataset: Dataset) -> dict[str, NDArray[np.float32]]:
        """The contract's four outputs for all pictures, in order."""
        return predict(self.detect, load_pictures(dataset.examples, self.size))

    def findings(self, dataset: Dataset) -> Findings:
        """What it finds on pictures, held against their labels."""
        return Findings.of(dataset, self.outputs(dataset))


@dataclass(frozen=True)
class AskedVersion(Asked):
    """An exported version, with what only such a one has."""

    served: ServedModel  # all its signatures
    card: ModelCard


def asked_run(run: Run) -> Asked:
    """A run's best weights."""
    architecture = run.settings.architecture
    size = Stretch(architecture.height, architecture.width)
    return Asked(run.settings.labels, size, Detector(run.trained(), architecture))


def asked_version(folder: Path) -> AskedVersion:
    """An exported version, or of a model's folder the highest.

    Raises:
        InputError: there is none, or it has no card.
    """
    versions = versions_of(folder)
    if not (folder / "saved_model.pb").exists() and versions:
        folder = max((path for path in folder.iterdir() if path.name.isdigit()), key=lambda p: int(p.name))
    if not (folder / "saved_model.pb").exists():
        raise InputError(f"{folder} holds no version of a model: saved_model.pb is missing")
    try:
        served = ServedModel(folder)
        (text,) = served.predict(SIGNATURE_CARD, INPUT_QUERY, np.array([b""], object))[OUTPUT_CARD]
        card = ModelCard.from_dict(json.loads(text))
    except (tf.errors.OpError, OSError, KeyError, ValueError, SightlineError) as fault:
        raise InputError(f"{folder} is no version that sightline-train export has written: {fault}") from None
    size = Stretch(card.input_height, card.input_width)
    return AskedVersion(
        LabelMap.from_ids(card.labels),
        size,
        lambda pixels: served.predict(SIGNATURE_PIXELS, INPUT_IMAGES, pixels),
        served,
        card,
    )
