from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from sightline.contract import DETECTION_OUTPUTS
from sightline.detections import ImageSize
from sightline.errors import InvalidOptionError, ServingError, SignatureError
from sightline.families import RawDetections, understand
from sightline.options import DetectOptions
from sightline.postprocess import select
from sightline.signatures import Signature, TensorSpec
from sightline.tensors import Tensors
from tests.support.typed_tensors import typed

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
    scores = np.array([score for _, score in scored], np.float32).tolist()
    box = np.array([0.1, 0.2, 0.3, 0.4], np.float32).tolist()
    return RawDetections([box] * len(scored), scores, [class_id for class_id, _ in scored])


def answer_of(arrays: Mapping[str, np.ndarray]) -> Tensors:
    """As a Serving gives it."""
    return Tensors({name: typed(array) for name, array in arrays.items()})


def zeros(count: int = 1, slots: int = 5) -> dict[str, np.ndarray]:
    """An answer of the contract with nothing in it."""
    return {
        "detection_boxes": np.zeros((count, slots, 4), np.float32),
        "detection_scores": np.zeros((count, slots), np.float32),
        "detection_classes": np.zeros((count, slots), np.float32),
        "num_detections": np.zeros(count, np.float32),
    }


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
    answer = zeros(count=2) | {
        "detection_boxes": np.arange(40, dtype=np.float32).reshape(2, 5, 4),
        "detection_scores": np.arange(10, dtype=np.float32).reshape(2, 5),
        "detection_classes": np.arange(10, 20, dtype=np.float32).reshape(2, 5),
        "num_detections": np.array([3, 1], np.float32),
    }
    first, second = family.read(answer_of(answer), 2)
    assert first.boxes == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)]
    assert (first.scores, first.classes) == ([0, 1, 2], [10, 11, 12])
    assert second == ([(20, 21, 22, 23)], [5], [15])


@pytest.mark.parametrize(("said", "read"), [(np.nan, 0), (-1, 0), (9, 5), (np.inf, 5), (2.9, 2)])
def test_a_count_that_cannot_be_gives_no_more_than_there_are_slots(said: float, read: int) -> None:
    answer = answer_of(zeros() | {"num_detections": np.array([said], np.float32)})
    (found,) = understand(CONTRACT).read(answer, 1)
    assert (len(found.boxes), len(found.scores), len(found.classes)) == (read, read, read)


@pytest.mark.parametrize("name", DETECTION_OUTPUTS)
def test_an_answer_without_an_output_is_named(name: str) -> None:
    answer = {key: array for key, array in zeros().items() if key != name}
    with pytest.raises(ServingError, match=f"lacks {name}$"):
        understand(CONTRACT).read(answer_of(answer), 1)


def test_an_answer_for_another_number_of_pictures_is_an_error() -> None:
    with pytest.raises(ServingError, match="2 pictures sent"):
        understand(CONTRACT).read(answer_of(zeros()), 2)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("detection_boxes", (1, 5, 3)), ("detection_classes", (1, 4)), ("num_detections", (1, 1))],
)
def test_an_answer_whose_shapes_do_not_fit_is_an_error(name: str, shape: tuple[int, ...]) -> None:
    answer = answer_of(zeros() | {name: np.zeros(shape, np.float32)})
    with pytest.raises(ServingError, match="do not fit each other"):
        understand(CONTRACT).read(answer, 1)


def test_scores_without_slots_are_an_error() -> None:
    flat = {"detection_boxes": (1, 4), "detection_scores": (1,), "detection_classes": (1,)}
    answer = zeros() | {name: np.zeros(shape, np.float32) for name, shape in flat.items()}
    with pytest.raises(ServingError, match="do not fit each other"):
        understand(CONTRACT).read(answer_of(answer), 1)


def test_a_class_that_is_no_number_is_an_error() -> None:
    said = {
        "num_detections": np.ones(1, np.float32),
        "detection_classes": np.full((1, 5), np.nan, np.float32),
    }
    with pytest.raises(ServingError, match="no numbers"):
        understand(CONTRACT).read(answer_of(zeros() | said), 1)


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
