"""Canary and shadow: which version is asked, and how two versions' answers are compared."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.fake_serving import FakeServing, FakeVersion, droids, fake_serving
from support.running_gateway import running_gateway

from sightline.contract import ModelRef
from sightline.detections import Box, Detection, ImageSize, ModelVersion, Result
from sightline.errors import UnavailableError
from sightline.options import DetectOptions
from sightline_serving.gateway.shadow import WAITING, Comparison, Rollout, Shadow, ShadowMetrics, compare

WAIT_S = 10


def found(label: str, *corners: float, score: float = 0.9) -> Detection:
    return Detection(label, 1, score, Box(0, 0, 1, 1), (corners[0], corners[1], corners[2], corners[3]))


def result(version: int, *detections: Detection) -> Result:
    return Result("id", ModelVersion("droids", version), ImageSize(10, 10), detections)


ONE = found("R2-D2", 0.0, 0.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("serving", "shadow", "expected"),
    [
        ([], [], Comparison(0, 0, 0)),
        ([ONE], [ONE], Comparison(1, 0, 0)),
        ([ONE], [], Comparison(0, 1, 0)),
        ([], [ONE], Comparison(0, 0, 1)),
        ([ONE], [found("BB-8", 0.0, 0.0, 0.5, 0.5)], Comparison(0, 1, 1)),
        # half of it: IoU 0.5 counts, a hair less does not
        ([ONE], [found("R2-D2", 0.0, 0.0, 0.5, 0.25)], Comparison(1, 0, 0)),
        ([ONE], [found("R2-D2", 0.0, 0.0, 0.5, 0.249)], Comparison(0, 1, 1)),
        # two boxes on one: only one of them agrees
        ([ONE], [ONE, found("R2-D2", 0.0, 0.0, 0.5, 0.45)], Comparison(1, 0, 1)),
        ([ONE], [found("R2-D2", 0.5, 0.5, 1.0, 1.0)], Comparison(0, 1, 1)),
    ],
)
def test_boxes_are_paired_by_label_and_overlap(
    serving: list[Detection], shadow: list[Detection], expected: Comparison
) -> None:
    assert compare(serving, shadow) == expected


def test_the_surest_box_takes_the_one_it_overlaps_most() -> None:
    sure = found("R2-D2", 0.0, 0.0, 0.5, 0.5, score=0.9)
    unsure = found("R2-D2", 0.0, 0.1, 0.5, 0.6, score=0.3)
    assert compare([unsure, sure], [sure, unsure]) == Comparison(2, 0, 0)


def test_agreement_is_the_share_of_agreed_boxes_and_whole_for_nothing() -> None:
    assert Comparison(3, 1, 1).agreement == 0.6
    assert Comparison(0, 0, 0).agreement == 1.0


def test_a_rollout_gives_the_canary_its_share() -> None:
    rollout = Rollout("stable", "canary", 0.25)
    chosen = [rollout.choose(step / 100) for step in range(100)]
    assert chosen.count("canary") == 25
    assert chosen.count("stable") == 75
    assert Rollout(None).choose(0.0) is None


class _Scripted:
    """A detector that answers as told."""

    def __init__(self, answer: Callable[[], list[Any]]) -> None:
        self.answer = answer
        self.asked: list[ModelRef | None] = []

    def detect_many(self, images: Any, options: Any = None, *, model: Any = None, **_: Any) -> list[Any]:
        self.asked.append(model)
        return self.answer()

    def detect(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None: ...


def _shadow(detector: _Scripted, registry: CollectorRegistry, chance: float = 0.0) -> Shadow:
    return Shadow(
        detector, ShadowMetrics(registry), label="canary", share=0.5, timeout=1, chance=lambda: chance
    )


def _pictures(registry: CollectorRegistry, outcome: str) -> float | None:
    return registry.get_sample_value(
        "sightline_shadow_pictures_total", {"model": "droids", "outcome": outcome}
    )


def test_a_mirrored_picture_is_asked_of_the_shadow_and_counted() -> None:
    registry, detector = CollectorRegistry(), _Scripted(lambda: [result(2, ONE)])
    shadow = _shadow(detector, registry)
    shadow.mirror(
        [b"picture"],
        DetectOptions(),
        ModelRef("droids", label="stable"),
        [result(1, ONE, found("BB-8", 0, 0, 1, 1))],
    )
    shadow.close()
    assert detector.asked == [ModelRef("droids", label="canary")]
    names = {"model": "droids", "version": "1", "shadow_version": "2"}
    boxes = {
        outcome: registry.get_sample_value("sightline_shadow_boxes_total", {**names, "outcome": outcome})
        for outcome in ("agreed", "missing", "extra")
    }
    assert boxes == {"agreed": 1, "missing": 1, "extra": 0}
    assert registry.get_sample_value("sightline_shadow_agreement_sum", names) == 0.5
    assert _pictures(registry, "compared") == 1


@pytest.mark.parametrize(
    ("asked", "chance"),
    [
        (ModelRef("droids", label="stable"), 0.5),
        (ModelRef("droids", 1), 0.0),
        (ModelRef("droids", label="canary"), 0.0),
    ],
)
def test_what_is_not_mirrored(asked: ModelRef, chance: float) -> None:
    detector = _Scripted(list)
    shadow = _shadow(detector, CollectorRegistry(), chance)
    shadow.mirror([b""], DetectOptions(), asked, [result(1)])
    shadow.close()
    assert detector.asked == []


@pytest.mark.parametrize("fault", [UnavailableError("away"), RuntimeError("ours")])
def test_a_shadow_that_fails_is_counted_and_nothing_else(fault: Exception) -> None:
    def answer() -> list[Any]:
        raise fault

    registry = CollectorRegistry()
    shadow = _shadow(_Scripted(answer), registry)
    shadow.mirror([b"", b""], DetectOptions(), ModelRef("droids"), [result(1), result(1)])
    shadow.close()
    assert _pictures(registry, "failed") == 2


def test_a_slow_shadow_drops_rather_than_queues() -> None:
    gate = threading.Event()

    def answer() -> list[Any]:
        assert gate.wait(WAIT_S)
        return [result(2)]

    registry = CollectorRegistry()
    shadow = _shadow(_Scripted(answer), registry)
    for _ in range(WAITING + 3):
        shadow.mirror([b""], DetectOptions(), ModelRef("droids"), [result(1)])
    gate.set()
    shadow.close()
    assert _pictures(registry, "dropped") == 3
    assert _pictures(registry, "compared") == WAITING


# --- through the gateway ---------------------------------------------------------------------------


def _blind(inputs: Any) -> dict[str, Any]:
    """As `droids`, and finds nothing."""
    answer = droids(inputs)
    return {name: np.zeros_like(array) for name, array in answer.items()}


@pytest.fixture
def two_versions() -> Iterator[FakeServing]:
    with fake_serving(
        {"droids": {1: FakeVersion(labels=("stable",)), 2: FakeVersion(answer=_blind, labels=("canary",))}}
    ) as server:
        yield server


@pytest.fixture
def picture() -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((40, 60, 3), 200, np.uint8))[1])


def _ask(url: str, picture: bytes, path: str = "/v1/detect") -> dict[str, Any]:
    answer = httpx.post(url + path, content=picture, headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 200, answer.text
    plain: dict[str, Any] = answer.json()
    return plain


def test_the_label_keeps_callers_on_the_stable_version(two_versions: FakeServing, picture: bytes) -> None:
    with running_gateway(two_versions.target, label="stable") as url:
        assert _ask(url, picture)["model"]["version"] == 1
        assert _ask(url, picture, "/v1/models/droids/labels/canary:detect")["model"]["version"] == 2
        assert _ask(url, picture, "/v1/models/droids/versions/2:detect")["model"]["version"] == 2


def test_a_canary_takes_its_share_of_real_requests(two_versions: FakeServing, picture: bytes) -> None:
    with running_gateway(two_versions.target, label="stable", canary_label="canary", canary_share=0.5) as url:
        versions = [_ask(url, picture)["model"]["version"] for _ in range(60)]
        card = httpx.get(f"{url}/v1/models/droids/card").json()
    assert 10 < versions.count(2) < 50  # a fair coin fails this once in ten million runs
    assert card["model"]["version"] == 1


def test_a_shadow_is_compared_and_never_seen(two_versions: FakeServing, picture: bytes) -> None:
    with running_gateway(two_versions.target, label="stable", shadow_label="canary", shadow_share=1.0) as url:
        answers = [_ask(url, picture) for _ in range(5)]
        wanted = 'sightline_shadow_pictures_total{model="droids",outcome="compared"} 5.0'
        deadline = time.monotonic() + WAIT_S
        while wanted not in (page := httpx.get(f"{url}/metrics").text):
            assert time.monotonic() < deadline, page
            time.sleep(0.05)
    assert {answer["model"]["version"] for answer in answers} == {1}
    assert all(len(answer["detections"]) == 2 for answer in answers)
    names = 'model="droids",outcome="missing",shadow_version="2",version="1"'
    assert f"sightline_shadow_boxes_total{{{names}}} 10.0" in page


def test_a_label_that_no_version_has_is_not_ready(two_versions: FakeServing) -> None:
    with running_gateway(two_versions.target, label="stable") as url:
        assert httpx.get(f"{url}/readyz").status_code == 200
    with running_gateway(two_versions.target, label="steady") as url:
        unready = httpx.get(f"{url}/readyz")
    assert unready.status_code == 503
    assert "droids/labels/steady is not served" in unready.json()["detail"]
