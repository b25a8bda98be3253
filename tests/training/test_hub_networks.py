"""Targets, losses and boxes of RetinaNet and D-FINE, held against KerasHub's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.hub_folders import CLASSES, SAVERS, SIZE

from sightline_training.families import family_of
from sightline_training.families.hub import HubStart, build_task
from sightline_training.families.set_loss import SetLoss, assign
from sightline_training.model import BOXES, Architecture
from sightline_training.model import CLASSES as CODES_OF_CLASSES
from sightline_training.run import FitOptions
from sightline_training.starting import read_start

# Keras reads its own variables in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STEPS = {"retinanet": 25, "d_fine": 100}  # on one batch; a set of random boxes has to be told apart first
# a batch of three pictures: one object, two objects, none
CORNERS = tf.constant(
    [[[0.1, 0.1, 0.5, 0.6], [0] * 4], [[0.2, 0.2, 0.5, 0.6], [0.5, 0.5, 0.9, 0.9]], [[0] * 4, [0] * 4]],
    tf.float32,
)
CLASS_IDS = tf.constant([[1, 0], [2, 1], [0, 0]])


def start_of(folder: Path, family: str) -> HubStart:
    found = read_start(str(SAVERS[family](folder / family)))
    assert isinstance(found, HubStart)
    return found


class _Unsuppressed:
    """In place of KerasHub's suppression: gives the boxes that it is given."""

    def __init__(self, bounding_box_format: str) -> None:
        self.bounding_box_format = bounding_box_format

    def __call__(self, box_prediction: Any, class_prediction: Any, images: Any) -> dict[str, Any]:
        return {"boxes": box_prediction, "logits": class_prediction}


def pictures(count: int = 2) -> np.ndarray:
    return np.random.default_rng(7).uniform(0, 255, (count, SIZE, SIZE, 3)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("family", SAVERS)
def test_boxes_are_read_as_keras_hub_reads_them(tmp_path: Path, family: str) -> None:
    start = start_of(tmp_path, family)
    architecture = start.fit(Architecture(CLASSES, SIZE, SIZE))
    kind = family_of(architecture)
    model = kind.build()
    assert start.put_into(model) == []  # the same classes: every variable has its value
    boxes, scores = kind.read(model(pictures(), training=False))
    theirs = build_task(architecture)
    for variable, value in zip(theirs.variables, start.values, strict=True):
        variable.assign(value)
    scaled = pictures() * np.array(architecture.scale) + np.array(architecture.offset)
    theirs._prediction_decoder = _Unsuppressed(theirs.prediction_decoder.bounding_box_format)
    read = theirs.decode_predictions(theirs(scaled, training=False), scaled)
    assert theirs.prediction_decoder.bounding_box_format in ("yxyx", "xyxy")
    expected = np.asarray(read["boxes"]) / SIZE
    if theirs.prediction_decoder.bounding_box_format == "xyxy":
        expected = expected[..., [1, 0, 3, 2]]
    # KerasHub's RetinaNet clips to the picture here, ours when the boxes leave the graph. Random codes
    # are large, and sizes grow with their exponentials.
    np.testing.assert_allclose(np.clip(boxes, 0, 1), np.clip(expected, 0, 1), atol=5e-3)
    np.testing.assert_allclose(scores, tf.sigmoid(read["logits"]), atol=1e-4)


@pytest.mark.slow
def test_anchors_of_retinanet_undo_their_codes(tmp_path: Path) -> None:
    start = start_of(tmp_path, "retinanet")
    kind = family_of(start.fit(Architecture(2, SIZE, SIZE)))
    said = kind.targets(FitOptions())(CORNERS, CLASS_IDS)
    boxes, _ = kind.read({BOXES: said[BOXES][..., :4], CODES_OF_CLASSES: said[CODES_OF_CLASSES][..., :-1]})
    answering = said[BOXES][0, :, 4].numpy() > 0
    assert answering.any()
    found = boxes.numpy()[0, answering]
    np.testing.assert_allclose(found, np.tile(CORNERS[0, 0], (len(found), 1)), atol=1e-5)


def test_boxes_are_matched_picture_by_picture_at_the_least_cost() -> None:
    cost = np.full((2, 4, 3), 9.0, np.float32)
    cost[0, 2, 0], cost[0, 1, 0] = 1.0, 2.0
    cost[0, 2, 1], cost[0, 3, 1] = 1.0, 5.0  # both want box 2: 1 + 5 is more than 2 + 1
    cost[1, 0, 2] = 0.0
    asked = np.array([[True, True, False], [False, False, True]])
    rows, columns = assign(cost, asked)
    assert dict(zip(columns.tolist(), rows.tolist(), strict=True)) == {0: 1, 1: 2, 2: 4}


@pytest.mark.slow
def test_the_loss_of_d_fine_is_keras_hubs_with_the_cheapest_matching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KerasHub's matching fills up with costs of 1e9, beside which float32 loses the real ones."""
    from keras_hub.src.models.d_fine import d_fine_object_detector

    architecture = start_of(tmp_path, "d_fine").fit(Architecture(CLASSES, SIZE, SIZE))
    task = build_task(architecture)
    said = task(np.random.default_rng(1).random((1, SIZE, SIZE, 3)).astype(np.float32), training=True)
    # Its own sum takes a batch to show the same number of objects in each picture: one picture does.
    true = family_of(architecture).targets(FitOptions())(CORNERS[1:2], CLASS_IDS[1:2])
    ours = SetLoss(task)

    def cheapest(outputs: dict[str, Any], *_: Any) -> tuple[Any, Any, Any]:
        rows, columns = ours.match(outputs["logits"], outputs["pred_boxes"], true)
        return rows[None], columns[None], tf.ones_like(rows[None], tf.bool)

    monkeypatch.setattr(d_fine_object_detector, "hungarian_matcher", cheapest)
    theirs = task.compute_loss(None, true, said, None)
    assert float(ours(true, said)) == pytest.approx(float(theirs), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", SAVERS)
def test_the_loss_falls_on_one_batch(tmp_path: Path, family: str) -> None:
    start = start_of(tmp_path, family)
    architecture = start.fit(Architecture(2, SIZE, SIZE))
    kind = family_of(architecture)
    keras.utils.set_random_seed(1)
    model = kind.build()
    assert all("class" in path or "logits" in path or "score" in path for path in start.put_into(model))
    kind.freeze(model, 1)
    kind.compile(model, keras.optimizers.Adam(1e-3, global_clipnorm=10.0), FitOptions())
    targets = kind.targets(FitOptions())(CORNERS, CLASS_IDS)
    losses = [np.ravel(model.train_on_batch(pictures(3), targets))[0] for _ in range(STEPS[family])]
    assert losses[-1] < 0.7 * losses[0], losses
