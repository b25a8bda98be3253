from __future__ import annotations

import numpy as np
import pytest

from sightline.contract import DETECTION_OUTPUTS
from sightline.detections import ImageSize
from sightline.errors import InvalidOptionError, ServingError, SignatureError
from sightline.families import RawDetections, understand
from sightline.options import DetectOptions
from sightline.postprocess import select
from sightline.signatures import Signature, TensorSpec

SIZE = ImageSize(200, 100)
OUTPUTS = {
    "detection_boxes": TensorSpec("float32", (-1, 100, 4)),
    "detection_scores": TensorSpec("float32", (-1, 100)),
    "detection_classes": TensorSpec("float32", (-1, 100)),
    "num_detections": TensorSpec("float32", (-1,)),
}
CONTRACT = {"serving_default": Signature({"images": TensorSpec("uint8", (-1, 300, 200, 3))}, OUTPUTS)}
LABELS = {1: "BB-8", 2: "R2-D2"}


def raw(*scored: tuple[int, float]) -> RawDetections:
    boxes = np.tile(np.array([0.1, 0.2, 0.3, 0.4], np.float32), (len(scored), 1))
    return RawDetections(
        boxes, np.array([s for _, s in scored], np.float32), np.array([c for c, _ in scored], np.int64)
    )


def test_the_contract_is_understood() -> None:
    family = understand(CONTRACT)
    assert (family.resize.height, family.resize.width) == (300, 200)


def test_what_is_not_understood_names_what_was_found() -> None:
    odd = {
        "serving_default": Signature(
            {"x": TensorSpec("float32", (-1, 4))}, {"y": TensorSpec("float32", None)}
        )
    }
    with pytest.raises(
        SignatureError, match=r"serving_default\(x: float32 \[N, 4\]\) -> \(y: float32 \[\?\]\)"
    ):
        understand(odd)
    with pytest.raises(SignatureError, match="no signature"):
        understand({})


def test_pictures_become_one_batch_and_slots_past_the_count_are_left_out() -> None:
    family = understand(CONTRACT)
    pictures = [np.full((300, 200, 3), value, np.uint8) for value in (1, 2)]
    (batch,) = family.inputs(pictures).values()
    assert batch.shape == (2, 300, 200, 3)
    assert batch[1].min() == 2
    answer = {
        "detection_boxes": np.zeros((2, 5, 4), np.float32),
        "detection_scores": np.tile(np.linspace(1, 0.5, 5, dtype=np.float32), (2, 1)),
        "detection_classes": np.ones((2, 5), np.float32),
        "num_detections": np.array([3, 0], np.float32),
    }
    first, second = family.read(answer, 2)
    assert (len(first.boxes), len(first.scores), len(second.boxes)) == (3, 3, 0)


@pytest.mark.parametrize("name", DETECTION_OUTPUTS)
def test_an_answer_without_an_output_is_named(name: str) -> None:
    answer = {key: np.zeros((1, 5, 4), np.float32) for key in DETECTION_OUTPUTS if key != name}
    with pytest.raises(ServingError, match=name):
        understand(CONTRACT).read(answer, 1)


def test_an_answer_for_another_number_of_pictures_is_an_error() -> None:
    answer = {key: np.zeros((1, 5, 4), np.float32) for key in DETECTION_OUTPUTS}
    with pytest.raises(ServingError, match="2 pictures sent"):
        understand(CONTRACT).read(answer, 2)


def test_the_cards_thresholds_hold_unless_the_caller_gives_one() -> None:
    boxes = raw((1, 0.9), (2, 0.6), (1, 0.4), (2, 0.3))
    by_card = select(boxes, SIZE, DetectOptions(), LABELS, {1: 0.35, 2: 0.7})
    assert [(f.label, f.score) for f in by_card] == [("BB-8", 0.9), ("BB-8", 0.4)]
    by_caller = select(boxes, SIZE, DetectOptions(threshold=0.5), LABELS, {1: 0.35, 2: 0.7})
    assert [f.label for f in by_caller] == ["BB-8", "R2-D2"]
    by_default = select(boxes, SIZE, DetectOptions(), LABELS, {})
    assert [f.score for f in by_default] == [0.9, 0.6]


def test_classes_and_number_are_limited() -> None:
    boxes = raw((1, 0.9), (2, 0.8), (1, 0.7), (2, 0.6))
    only = select(boxes, SIZE, DetectOptions(threshold=0, classes=["R2-D2"]), LABELS, {})
    assert [f.score for f in only] == [0.8, 0.6]
    assert len(select(boxes, SIZE, DetectOptions(threshold=0, max_detections=3), LABELS, {})) == 3


def test_a_class_without_a_label_is_called_by_its_number() -> None:
    (found,) = select(raw((77, 0.9)), SIZE, DetectOptions(), LABELS, {})
    assert (found.label, found.class_id) == ("77", 77)
    assert found.box_normalized == (0.1, 0.2, 0.3, 0.4)
    assert (found.box.xmin, found.box.ymin, found.box.xmax, found.box.ymax) == (40, 10, 80, 30)


@pytest.mark.parametrize("wrong", [{"threshold": 1.5}, {"threshold": -0.1}, {"max_detections": 0}])
def test_options_out_of_range_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidOptionError, match=next(iter(wrong))):
        DetectOptions(**wrong)


def test_a_score_that_is_no_number_is_below_every_threshold() -> None:
    assert select(raw((1, float("nan"))), SIZE, DetectOptions(threshold=0.0), LABELS, {}) == ()
