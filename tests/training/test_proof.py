"""An export that answers otherwise than the model in memory is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.exported import SIZE, exported_models

from sightline.contract import DETECTION_OUTPUTS, ModelCard
from sightline.errors import SignatureError
from sightline_training.proof import ServedModel, prove


def test_a_version_is_held_against_what_the_model_said(tmp_path: Path) -> None:
    folder = exported_models(tmp_path) / "droids" / "1"
    pixels = np.random.default_rng(3).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    served = ServedModel(folder)
    said = served.predict("serving_default", "images", pixels)
    (text,) = served.predict("card", "query", np.array([b""], object))["card"]
    served.close()
    card = ModelCard.from_dict(json.loads(text))
    prove(folder, pixels, said, card)
    assert said["detection_scores"][1, 1] > 0.05

    swapped = {name: values.copy() for name, values in said.items()}
    swapped["detection_scores"][:, :2] = said["detection_scores"][:, :1]  # as if the two were equally sure
    with pytest.raises(SignatureError, match="scores that differ by"):
        prove(folder, pixels, swapped, card)
    moved = {**said, "detection_boxes": said["detection_boxes"].copy()}
    moved["detection_boxes"][1, 0] += 0.01
    with pytest.raises(SignatureError, match=r"lacks 1 of \d+ boxes that the model gives for picture 1"):
        prove(folder, pixels, moved, card)
    relabelled = {**said, "detection_classes": 3 - said["detection_classes"]}
    with pytest.raises(SignatureError, match="boxes that the model gives for picture 0"):
        prove(folder, pixels, relabelled, card)
    with pytest.raises(SignatureError, match="another card"):
        prove(folder, pixels, said, replace(card, name="other"))


def test_equal_scores_may_change_places() -> None:
    from sightline_training import proof

    one = {
        "detection_boxes": np.array([[[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0, 0, 0]]], np.float32),
        "detection_scores": np.array([[0.7, 0.7, 0.0]], np.float32),
        "detection_classes": np.array([[1, 2, 0]], np.float32),
        "num_detections": np.array([2], np.float32),
    }
    assert set(one) == set(DETECTION_OUTPUTS)
    other = {name: values[:, [1, 0, 2]] if values.ndim > 1 else values for name, values in one.items()}
    proof._compare("turned", other, one)
    other["detection_classes"] = one["detection_classes"]
    with pytest.raises(SignatureError, match="lacks 2 of 2 boxes"):
        proof._compare("mixed up", other, one)


def test_an_export_is_made_and_proved_in_full_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU TF32 would move the scores of a batch by more than is allowed."""
    import tensorflow as tf

    from sightline_training import export

    def allowed() -> bool:
        return bool(tf.config.experimental.tensor_float_32_execution_enabled())

    seen = []
    monkeypatch.setattr(export, "prove", lambda *_: seen.append(allowed()))
    assert allowed()
    exported_models(tmp_path)
    assert seen == [False]
    assert allowed()
