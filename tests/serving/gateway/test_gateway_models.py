"""Models, their states and cards; is the gateway alive, is it ready."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from support.fake_serving import LABELS, FakeServing, FakeVersion
from support.pictures import jpeg

from sightline.contract import ModelCard


def test_the_listed_models_with_the_state_of_each_version(serving: FakeServing, make_client: Any) -> None:
    serving.models["droids"][2] = FakeVersion(state="LOADING")
    client = make_client(serving.target, models="droids, absent")
    droids, absent = client.get("/v1/models").get_json()["models"]
    assert (droids["name"], droids["default"]) == ("droids", True)
    states = [(item["version"], item["state"]) for item in droids["model_version_status"]]
    assert states == [("2", "LOADING"), ("1", "AVAILABLE")]
    assert absent == {"name": "absent", "default": False, "model_version_status": []}


def test_one_model_is_answered_as_serving_answers_it(client: FlaskClient) -> None:
    answer = client.get("/v1/models/droids").get_json()
    state = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert answer == {"name": "droids", "model_version_status": [state]}
    assert client.get("/v1/models/nobody").get_json()["code"] == "model_not_found"


def test_the_card_is_that_of_the_version(client: FlaskClient, serving: FakeServing) -> None:
    serving.models["droids"][2] = FakeVersion(card=ModelCard("droids", {1: "Gonk"}, 64, 64))
    newest = client.get("/v1/models/droids/card").get_json()
    assert (newest["model"]["version"], newest["labels"]) == (2, {"1": "Gonk"})
    older = client.get("/v1/models/droids/versions/1/card").get_json()
    assert older["labels"] == {str(key): label for key, label in LABELS.items()}


def test_labels_and_thresholds_change_with_the_version_that_answers(
    client: FlaskClient, serving: FakeServing
) -> None:
    def found() -> list[str]:
        answer = client.post("/v1/detect", data=jpeg()).get_json()
        return [item["label"] for item in answer["detections"]]

    assert found() == ["R2-D2", "BB-8"]
    serving.models["droids"][2] = FakeVersion(
        card=ModelCard("droids", {1: "ball", 2: "bin"}, 64, 64, {1: 0.7})
    )
    assert found() == ["bin"], "0.6 is below the new card's threshold"
    del serving.models["droids"][2]
    assert found() == ["R2-D2", "BB-8"]


def test_alive_without_a_model_and_ready_only_with_one(client: FlaskClient, serving: FakeServing) -> None:
    assert client.get("/readyz").get_json() == {"status": "ready", "models": {"droids": [1]}}
    serving.models["droids"][1].state = "LOADING"
    assert client.get("/healthz").status_code == 200
    response = client.get("/readyz")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert "1 is LOADING" in response.get_json()["detail"]


def test_ready_waits_for_every_listed_model(serving: FakeServing, make_client: Any) -> None:
    client = make_client(serving.target, models=("trees",))
    missing = client.get("/readyz")
    assert missing.status_code == 503, "not 404, which is for addresses that a probe has wrong"
    assert missing.headers["Retry-After"]
    assert "no version of trees is AVAILABLE: it has none" in missing.get_json()["detail"]
    serving.models["trees"] = {5: FakeVersion()}
    assert client.get("/readyz").get_json()["models"] == {"droids": [1], "trees": [5]}


@pytest.mark.parametrize("place", ["droids", "droids/versions/1", "droids/labels/stable"])
def test_an_action_that_is_none_is_no_part_of_a_name(client: FlaskClient, place: str) -> None:
    response = client.post(f"/v1/models/{place}:predict", data=jpeg())
    assert (response.status_code, response.get_json()["code"]) == (404, "not_found")
    assert "/docs" in response.get_json()["detail"]
