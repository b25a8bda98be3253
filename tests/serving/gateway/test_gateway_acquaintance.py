"""The models are known before a caller asks, however late Serving comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc
from support.fake_serving import FakeServing, FakeVersion, Refusal, fake_serving
from support.gateways import free_port

from sightline.contract import ModelRef
from sightline.detector import Serving
from sightline_serving.gateway import acquaintance
from sightline_serving.gateway.app import create_app
from sightline_serving.gateway.settings import Settings

DROIDS, STABLE = ModelRef("droids"), ModelRef("droids", label="stable")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def known(detector: Serving, ref: ModelRef) -> bool:
    """Whether it can be told without asking Serving; even a call with no time at all may be answered."""
    return ref in detector.catalog._current


def test_models_are_learned_once_serving_is_there() -> None:
    port = free_port()
    with Serving(f"127.0.0.1:{port}", model="droids") as detector:
        thread = acquaintance.make(detector.catalog, [DROIDS, STABLE])
        time.sleep(0.3)
        assert thread.is_alive()
        with fake_serving({"droids": {1: FakeVersion(labels=("stable",))}}, port=port) as serving:
            thread.join(20)
            assert not thread.is_alive()
            serving.behaviour.refusal = Refusal(grpc.StatusCode.INTERNAL, "not to be asked again")
            assert known(detector, DROIDS)
            assert known(detector, STABLE)
            assert serving.predicts == 0, "its pixels were not asked for"


def test_one_that_is_not_there_yet_keeps_no_other_from_being_learned(serving: FakeServing) -> None:
    with Serving(serving.target, model="droids") as detector:
        thread = acquaintance.make(detector.catalog, [ModelRef("late"), DROIDS])
        until(lambda: known(detector, DROIDS))
        assert thread.is_alive()
        serving.models["late"] = {1: FakeVersion()}
        thread.join(20)
        assert not thread.is_alive()


def test_a_gateway_of_its_own_connection_learns_its_models(serving: FakeServing) -> None:
    asked: list[str] = []
    find = serving._find

    def noted(spec: Any) -> Any:
        asked.append(spec.version_label or spec.name)
        return find(spec)

    serving._find = noted  # type: ignore[method-assign]
    serving.models["droids"][1] = FakeVersion(labels=("stable", "canary"))
    serving.models["more"] = {1: FakeVersion()}
    chosen: dict[str, Any] = {"model": "droids", "models": ("more",), "label": "stable"}
    create_app(Settings(serving=serving.target, canary_label="canary", canary_share=0.1, **chosen))
    until(lambda: {"stable", "canary", "more"} <= set(asked))


def test_what_is_ready_is_known(serving: FakeServing) -> None:
    with Serving(serving.target, model="droids") as detector:
        client = create_app(Settings(serving=serving.target, model="droids"), detector).test_client()
        assert not known(detector, DROIDS)
        assert client.get("/readyz").status_code == 200
        assert known(detector, DROIDS)


def test_a_model_that_is_not_understood_keeps_the_others_ready(
    serving: FakeServing, make_client: Any
) -> None:
    serving.models["text"] = {1: FakeVersion(signatures={"serving_default": ({"words": (7, (-1,))}, ("m",))})}
    client = make_client(serving.target, models=("text",))
    assert client.get("/readyz").status_code == 200
