"""DeepStack's and DOODS's routes, asked as Frigate and Home Assistant ask them."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.fake_serving import FakeServing, FakeVersion
from support.pictures import jpeg

PICTURE = jpeg()
DATA = base64.b64encode(PICTURE).decode()


def deepstack(client: FlaskClient, path: str = "/v1/vision/detection", **fields: str) -> Any:
    form = {"image": (io.BytesIO(PICTURE), "camera.jpg"), **fields}
    return client.post(path, data=form, content_type="multipart/form-data")


def test_deepstack_as_frigate_reads_it(client: FlaskClient) -> None:
    answer = deepstack(client, api_key="").get_json()
    assert answer["success"] is True
    first, second = answer["predictions"]
    assert first == {"label": "R2-D2", "confidence": 0.9, "x_min": 32, "y_min": 12, "x_max": 80, "y_max": 72}
    assert second["label"] == "BB-8"
    assert answer["duration"] >= 0


def test_deepstack_with_its_threshold_and_a_custom_model(client: FlaskClient) -> None:
    answer = deepstack(client, "/v1/vision/custom/droids", min_confidence="0.8").get_json()
    assert [item["label"] for item in answer["predictions"]] == ["R2-D2"]


@pytest.mark.parametrize("least", ["x", "nan", "2"])
def test_deepstack_with_a_threshold_that_is_none(client: FlaskClient, least: str) -> None:
    response = deepstack(client, min_confidence=least)
    assert (response.status_code, response.get_json()["success"]) == (400, False)


def test_deepstack_fails_in_its_own_words(client: FlaskClient) -> None:
    response = client.post("/v1/vision/detection")
    assert response.status_code == 400
    assert response.get_json()["success"] is False
    assert "image" in response.get_json()["error"]
    assert deepstack(client, "/v1/vision/custom/nobody").status_code == 404
    text = {"image": (io.BytesIO(b"text"), "x.jpg")}
    response = client.post("/v1/vision/detection", data=text, content_type="multipart/form-data")
    assert (response.status_code, response.get_json()["success"]) == (415, False)


def doods(client: FlaskClient, **fields: Any) -> Any:
    return client.post("/detect", json={"data": DATA, "detector_name": "default", **fields})


def test_doods_as_home_assistant_reads_it(client: FlaskClient) -> None:
    answer = doods(client, id="7", detect={"*": 50}).get_json()
    assert answer["id"] == "7"
    box = {"top": 0.1, "left": 0.2, "bottom": 0.6, "right": 0.5}
    assert answer["detections"][0] == {"label": "R2-D2", "confidence": 90.0, **box}
    assert answer["detections"][1]["label"] == "BB-8"


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"detect": {"*": 80}}, ["R2-D2"]),
        ({"detect": {"BB-8": 10}}, ["BB-8"]),
        ({"detect": {"*": 80, "BB-8": 50}}, ["R2-D2", "BB-8"]),
        ({"detector_name": "droids"}, ["R2-D2", "BB-8"]),
        ({"detect": {}}, ["R2-D2", "BB-8"]),
        ({"detect": {"BB-8": 101}}, []),
        ({"regions": [{"top": 0, "left": 0, "bottom": 0.7, "right": 0.52, "covers": True}]}, ["R2-D2"]),
        ({"regions": [{"bottom": 0.7, "right": 0.6, "detect": {"*": 10}}]}, ["R2-D2", "BB-8"]),
        ({"regions": [{"top": 0, "left": 0.51, "bottom": 1, "right": 1}]}, ["BB-8"]),
    ],
)  # fmt: skip
def test_doods_thresholds_and_regions(client: FlaskClient, fields: Any, found: list[str]) -> None:
    answer = doods(client, **fields).get_json()
    assert [item["label"] for item in answer["detections"]] == found


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"data": "!"}, 400), ({"detect": [1]}, 400), ({"detect": {"*": "x"}}, 400), ({"regions": [3]}, 400),
     ({"regions": 5}, 400), ({"regions": [{"top": "x"}]}, 400), ({"detect": {"*": -1}}, 400),
     ({"detector_name": 5}, 400), ({"detector_name": "nobody"}, 404), ({"detector_name": "x" * 20_000}, 404)],
)  # fmt: skip
def test_doods_fails_in_its_own_words(client: FlaskClient, fields: Any, status: int) -> None:
    response = doods(client, **fields)
    assert (response.status_code, response.get_json()["code"]) == (status, status)
    assert response.get_json()["error"]


def test_doods_lists_its_detectors(client: FlaskClient) -> None:
    default, droids = client.get("/detectors").get_json()["detectors"]
    assert (default.pop("name"), droids.pop("name")) == ("default", "droids"), (
        "as DOODS's own configuration has it"
    )
    assert default == droids
    assert droids["labels"] == ["BB-8", "R2-D2"]
    assert (droids["width"], droids["height"]) == (64, 64)


def test_doods_lists_the_detectors_that_answer(serving: FakeServing, make_client: Any) -> None:
    client = make_client(serving.target, models=["gone"])
    assert [item["name"] for item in client.get("/detectors").get_json()["detectors"]] == [
        "default",
        "droids",
    ]
    client = make_client(serving.target, model="gone", models=["droids"])
    assert [item["name"] for item in client.get("/detectors").get_json()["detectors"]] == ["droids"]
    response = make_client(serving.target, model="gone").get("/detectors")
    assert response.status_code == 404
    assert "gone" in response.get_json()["error"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", PICTURE, b""])
def test_doods_says_what_it_takes(client: FlaskClient, body: bytes) -> None:
    response = client.post("/detect", data=body)
    assert response.status_code == 400
    assert '"data": BASE64' in response.get_json()["error"]


def test_a_name_that_is_the_default_models_follows_its_label(serving: FakeServing, make_client: Any) -> None:
    serving.models["droids"] = {1: FakeVersion(labels=("stable",)), 2: FakeVersion()}
    client = make_client(serving.target, label="stable")
    for name in ("default", "droids"):
        assert doods(client, detector_name=name).status_code == 200
    assert deepstack(client, "/v1/vision/custom/droids").status_code == 200
    text = client.get("/metrics").text
    assert 'route="dropin.doods",status="200",version="1"} 2.0' in text
    assert 'route="dropin.deepstack",status="200",version="1"} 1.0' in text
