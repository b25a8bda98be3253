"""The spine on real parts: an export, the model server, the gateway, and both ways of asking."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import jsonschema
import numpy as np
import pytest
from PIL import Image
from support.exported import SIZE, exported_models
from support.gateways import gateway
from support.model_servers import model_server

from sightline import DetectOptions, Gateway, ModelRef, Result, Serving
from sightline.contract import DETECTION_OUTPUTS
from sightline.errors import ServingError
from sightline.tf_serving import ServingStub

ALL = DetectOptions(threshold=0.0)


@dataclass(frozen=True)
class Served:
    target: str  # of gRPC
    url: str  # of HTTP


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    models = exported_models(tmp_path_factory.mktemp("slice"))
    flags = ("--model_name=droids", f"--model_base_path={models / 'droids'}")
    with model_server(*flags) as (port, _), gateway(f"127.0.0.1:{port}") as url:
        yield Served(f"127.0.0.1:{port}", url)


@pytest.fixture(scope="module")
def over_http(served: Served) -> Iterator[Gateway]:
    with Gateway(served.url) as client:
        yield client


@pytest.fixture(scope="module")
def over_grpc(served: Served) -> Iterator[Serving]:
    with Serving(served.target, model="droids") as client:
        yield client


def encoded(kind: str, width: int, height: int, seed: int = 0) -> bytes:
    small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((width, height)).save(buffer, kind)
    return buffer.getvalue()


PICTURES = {
    "small": encoded("JPEG", 80, 60),
    "large": encoded("JPEG", 1280, 720, seed=1),
    "upright": encoded("PNG", 300, 500, seed=2),
    "webp": encoded("WEBP", 640, 480, seed=3),
}


def check(result: Result) -> None:
    """What every answer must be, whatever was found."""
    plain = result.to_dict()
    assert list(plain) == ["id", "model", "image", "detections", "timing_ms"]
    width, height = plain["image"]["width"], plain["image"]["height"]
    scores = [found["score"] for found in plain["detections"]]
    assert scores == sorted(scores, reverse=True)
    for found in plain["detections"]:
        assert found["label"] in ("BB-8", "R2-D2")
        assert {"BB-8": 1, "R2-D2": 2}[found["label"]] == found["class_id"]
        assert 0 <= found["score"] <= 1
        ymin, xmin, ymax, xmax = found["box_normalized"]
        assert 0 <= ymin <= ymax <= 1
        assert 0 <= xmin <= xmax <= 1
        box = found["box"]
        assert box["xmin"] == pytest.approx(xmin * width, abs=0.01)
        assert box["ymax"] == pytest.approx(ymax * height, abs=0.01)


@pytest.mark.parametrize("name", PICTURES)
def test_both_ways_give_the_same_boxes(over_http: Gateway, over_grpc: Serving, name: str) -> None:
    by_http = over_http.detect(PICTURES[name], ALL)
    by_grpc = over_grpc.detect(PICTURES[name], ALL)
    assert by_http.detections == by_grpc.detections
    assert len(by_http.detections) > 5
    assert (by_http.model, by_http.image) == (by_grpc.model, by_grpc.image)
    check(by_http)


def test_several_at_once_give_what_each_gives_alone(over_http: Gateway) -> None:
    together = over_http.detect_many([*PICTURES.values(), b"no picture"], ALL)
    for alone, result in zip(PICTURES.values(), together, strict=False):
        assert isinstance(result, Result)
        expected = over_http.detect(alone, ALL).detections
        assert [found.label for found in result.detections] == [found.label for found in expected]
        scores = [found.score for found in result.detections]
        np.testing.assert_allclose(scores, [found.score for found in expected], atol=1e-5)
    assert getattr(together[-1], "code", None) == "not_an_image"


def test_the_official_stubs_and_ours_get_the_same(served: Served) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    pixels = np.random.default_rng(5).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "droids"
    request.inputs["images"].CopyFrom(tf.make_tensor_proto(pixels))
    with grpc.insecure_channel(served.target) as channel:
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
    with ServingStub(served.target) as stub:
        ours = stub.predict(ModelRef("droids"), {"images": pixels}, signature="serving_default")
    assert set(answer.outputs) == set(ours.outputs) == set(DETECTION_OUTPUTS)
    assert answer.model_spec.version.value == ours.version == 1
    for name, array in ours.outputs.items():
        assert answer.outputs[name].float_val, "numbers come in the typed field"
        np.testing.assert_allclose(tf.make_ndarray(answer.outputs[name]), array, atol=1e-6)


@pytest.mark.parametrize("shape", [(SIZE, SIZE, 3), (1, SIZE, SIZE, 1), (1, SIZE // 2, SIZE, 3), ()])
def test_pixels_of_another_shape_are_refused_and_the_server_lives(
    served: Served, shape: tuple[int, ...]
) -> None:
    with ServingStub(served.target) as stub:
        with pytest.raises(
            ServingError, match=rf"is not compatible with expected shape \[\?,{SIZE},{SIZE},3\]"
        ):
            stub.predict(
                ModelRef("droids"), {"images": np.zeros(shape, np.uint8)}, signature="serving_default"
            )
        right = {"images": np.zeros((1, SIZE, SIZE, 3), np.uint8)}
        assert stub.predict(ModelRef("droids"), right, signature="serving_default").version == 1


def test_a_model_that_is_not_there_is_a_problem_document(served: Served) -> None:
    answer = httpx.post(f"{served.url}/v1/models/nobody:detect", content=PICTURES["small"])
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "model_not_found"


@pytest.mark.data
def test_the_sample_photographs_both_ways(
    served: Served, over_http: Gateway, over_grpc: Serving, shared_data: Path
) -> None:
    photographs = sorted((shared_data / "samples").glob("*.jpg"))
    assert len(photographs) == 6
    document = httpx.get(f"{served.url}/openapi.json").json()
    schema = {"$ref": "#/components/schemas/Result", "components": document["components"]}
    for photograph in photographs:
        by_http, by_grpc = over_http.detect(photograph, ALL), over_grpc.detect(photograph, ALL)
        check(by_http)
        for result in (by_http, by_grpc):
            jsonschema.validate(json.loads(json.dumps(result.to_dict())), schema)
        assert by_http.detections == by_grpc.detections
        with Image.open(photograph) as image:
            assert (by_http.image.width, by_http.image.height) == image.size
