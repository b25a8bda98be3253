from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.fake_serving import LABELS, SIDE, FakeServing, FakeVersion, droids, fake_serving

from sightline.contract import DETECTION_OUTPUTS, ModelCard, ModelRef
from sightline.detections import Result
from sightline.detector import DEFAULT_BATCH, Serving
from sightline.errors import (
    DeadlineError,
    ExhaustedError,
    ModelNotFoundError,
    NotAnImageError,
    SignatureError,
    TooManyPixelsError,
)
from sightline.images import Encoded, Picture, encode_jpeg, encode_png
from sightline.options import DetectOptions
from sightline.wire import serving_pb2 as wire

DARK = encode_jpeg(np.full((90, 120, 3), 20, np.uint8))
BRIGHT = encode_jpeg(np.full((300, 200, 3), 230, np.uint8))


@pytest.fixture
def server() -> Iterator[FakeServing]:
    with fake_serving() as running:
        yield running


@pytest.fixture
def detector(server: FakeServing) -> Iterator[Serving]:
    with Serving(server.target, model="droids", timeout=5) as connected:
        yield connected


def wanting(side: int, label: str) -> FakeVersion:
    """A version whose input is another size and whose card has other labels."""

    def answer(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert inputs["images"].shape[1:] == (side, side, 3)
        return droids(inputs)

    return FakeVersion(
        signatures={
            "serving_default": ({"images": (wire.DT_UINT8, (-1, side, side, 3))}, DETECTION_OUTPUTS),
            "card": ({"query": (wire.DT_STRING, (-1,))}, ("card",)),
        },
        answer=answer,
        card=ModelCard("droids", {1: label, 2: label}, side, side),
    )


def test_bytes_become_boxes_in_pixels_of_the_picture(detector: Serving) -> None:
    result = detector.detect(BRIGHT, request_id="abc")
    assert result.id == "abc"
    assert (result.model.name, result.model.version) == ("droids", 1)
    assert (result.image.width, result.image.height) == (200, 300)
    first, second = result.detections
    assert (first.label, first.class_id, first.score) == ("R2-D2", 2, 0.9)
    assert first.box_normalized == (0.1, 0.2, 0.6, 0.5)
    assert (first.box.xmin, first.box.ymin, first.box.xmax, first.box.ymax) == (40, 30, 100, 180)
    assert second.label == "BB-8"
    assert set(result.timing_ms) >= {"decode", "predict", "total"}
    assert result.timing_ms["total"] >= result.timing_ms["predict"] > 0


def test_the_model_sees_rgb_of_its_own_size(server: FakeServing) -> None:
    seen = []

    def answer(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen.append(inputs["images"])
        return droids(inputs)

    server.models["droids"][1] = FakeVersion(answer=answer)
    red = np.zeros((100, 50, 3), np.uint8)
    red[..., 0] = 250
    with Serving(server.target, model="droids") as detector:
        detector.detect(encode_jpeg(red))
    assert seen[0].shape == (1, SIDE, SIDE, 3)
    assert seen[0][0, 5, 5].tolist() == pytest.approx([250, 0, 0], abs=6)


def test_options_are_obeyed(detector: Serving) -> None:
    assert [f.label for f in detector.detect(BRIGHT, DetectOptions(threshold=0.8)).detections] == ["R2-D2"]
    assert [f.label for f in detector.detect(BRIGHT, DetectOptions(classes={"BB-8"})).detections] == ["BB-8"]
    assert len(detector.detect(BRIGHT, DetectOptions(max_detections=1)).detections) == 1


def test_several_pictures_go_together_and_a_bad_one_spoils_none(
    detector: Serving, server: FakeServing
) -> None:
    first, bad, second = detector.detect_many([DARK, b"not a picture", BRIGHT])
    assert isinstance(first, Result)
    assert isinstance(bad, NotAnImageError)
    assert isinstance(second, Result)
    assert (len(first.detections), len(second.detections)) == (1, 2)
    assert server.batches == [2]


def test_nothing_but_bad_pictures_asks_nothing(detector: Serving, server: FakeServing) -> None:
    assert [type(outcome) for outcome in detector.detect_many([b"x", b"y"])] == [NotAnImageError] * 2
    assert server.batches == []


def test_a_smaller_batch_limit_is_found_out(detector: Serving, server: FakeServing) -> None:
    server.behaviour.batch_limit = 3
    results = detector.detect_many([DARK] * 7 + [BRIGHT])
    assert [len(result.detections) for result in results if isinstance(result, Result)] == [1] * 7 + [2]
    assert server.batches == [8, 3, 3, 2]
    detector.detect_many([DARK] * 4)
    assert server.batches[4:] == [3, 1]


def test_the_card_is_asked_for_once(detector: Serving, server: FakeServing) -> None:
    for _ in range(3):
        detector.detect(DARK)
    assert server.predicts == 3
    assert detector.catalog.current(ModelRef("droids")).card == server.models["droids"][1].card


def test_a_new_version_brings_its_own_labels(detector: Serving, server: FakeServing) -> None:
    assert detector.detect(DARK).detections[0].label == LABELS[2]
    server.models["droids"][2] = FakeVersion(card=ModelCard("droids", {2: "astromech"}, SIDE, SIDE))
    result = detector.detect(DARK)
    assert (result.model.version, result.detections[0].label) == (2, "astromech")
    del server.models["droids"][2]
    assert detector.detect(DARK).detections[0].label == LABELS[2]


def test_a_new_version_of_another_size_is_sent_that_size(detector: Serving, server: FakeServing) -> None:
    detector.detect(DARK)
    server.models["droids"][2] = wanting(96, "larger")
    result = detector.detect(DARK)
    assert (result.model.version, result.detections[0].label) == (2, "larger")


def test_a_version_that_is_gone_before_its_labels_are_asked_for(
    detector: Serving, server: FakeServing
) -> None:
    detector.detect(DARK)

    def answer_and_go(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        server.models["droids"] = {3: wanting(96, "third")}
        return droids(inputs)

    server.models["droids"] = {2: FakeVersion(answer=answer_and_go)}
    result = detector.detect(DARK)
    assert (result.model.version, result.detections[0].label) == (3, "third")


def test_versions_are_asked_side_by_side(detector: Serving, server: FakeServing) -> None:
    server.models["droids"][2] = wanting(96, "larger")
    old = detector.detect(DARK, model=ModelRef("droids", 1))
    new = detector.detect(DARK)
    assert (old.detections[0].label, new.detections[0].label) == ("R2-D2", "larger")


def test_a_model_without_a_card_takes_the_labels_given(server: FakeServing) -> None:
    bare = FakeVersion(card=None)
    bare.signatures = {"serving_default": bare.signatures["serving_default"]}
    server.models["bare"] = {1: bare}
    with Serving(server.target, model="bare", labels={2: "droid"}) as detector:
        assert detector.detect(DARK).detections[0].label == "droid"
    with Serving(server.target, model="bare") as detector:
        assert detector.detect(DARK).detections[0].label == "2"


def test_a_signature_that_is_not_understood_is_named(server: FakeServing) -> None:
    server.models["odd"] = {
        1: FakeVersion(signatures={"serving_default": ({"x": (wire.DT_INT64, (-1,))}, ("y",))})
    }
    with (
        Serving(server.target, model="odd") as detector,
        pytest.raises(SignatureError, match=r"x: int64 \[N\]"),
    ):
        detector.detect(DARK)


def test_an_unknown_model_is_named(detector: Serving) -> None:
    with pytest.raises(ModelNotFoundError, match="nobody"):
        detector.detect(DARK, model=ModelRef("nobody"))


def test_too_many_pixels(server: FakeServing) -> None:
    with Serving(server.target, model="droids", max_pixels=90 * 120) as detector:
        assert detector.detect(DARK).image.width == 120
        with pytest.raises(TooManyPixelsError):
            detector.detect(BRIGHT)


def test_a_server_that_is_too_busy_is_asked_no_more_than_the_retries(
    detector: Serving, server: FakeServing
) -> None:
    detector.detect(DARK)
    server.behaviour.refusals = 100
    with pytest.raises(ExhaustedError):
        detector.detect(DARK)
    assert server.behaviour.refusals == 100 - 4


def test_the_timeout_holds_for_the_request_as_a_whole(detector: Serving, server: FakeServing) -> None:
    detector.detect(DARK)
    server.behaviour.delay = 0.3
    with pytest.raises(DeadlineError):
        detector.detect_many([DARK] * 33, timeout=0.7)
    assert len(server.batches) <= 4


def test_exif_pictures_give_boxes_of_the_upright_one(detector: Serving) -> None:
    ok, data = cv2.imencode(".jpg", np.full((90, 120, 3), 20, np.uint8))
    assert ok
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    plain = data.tobytes()
    turned = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    assert (detector.detect(turned).image.width, detector.detect(turned).image.height) == (90, 120)


def test_each_result_is_of_the_version_that_found_it(server: FakeServing, detector: Serving) -> None:
    """A version that comes between two batches of a call would else lend its labels to the other's boxes.

    While a set of servers is renewed, both may answer for a long time.
    """
    detector.detect(BRIGHT)
    usual = server.models["droids"][1]
    assert usual.card is not None
    other = replace(usual, card=replace(usual.card, labels={1: "R5-D4", 2: "C-3PO"}))

    def answer(inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        server.models["droids"][2] = other
        return usual.answer(inputs)

    server.models["droids"][1] = replace(usual, answer=answer)
    results = detector.detect_many([BRIGHT] * (DEFAULT_BATCH + 2))
    seen = [(item.model.version, item.detections[0].label) for item in results if isinstance(item, Result)]
    assert seen == [(1, LABELS[2])] * DEFAULT_BATCH + [(2, "C-3PO")] * 2


def test_large_pictures_are_decoded_one_at_a_time(detector: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most = 0, 0
    lock, decode = threading.Lock(), Encoded.decode

    def slowly(encoded: Encoded, *, upright: bool = True) -> Picture:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.05)
        picture = decode(encoded, upright=upright)
        with lock:
            at_once -= 1
        return picture

    monkeypatch.setattr(Encoded, "decode", slowly)
    large = encode_png(np.zeros((2000, 2100, 3), np.uint8))
    for picture, expected in ((large, {1}), (BRIGHT, {2, 3, 4})):
        most = 0
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(detector.detect, [picture] * 4))
        assert most in expected
