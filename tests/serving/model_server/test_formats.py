"""Loading: warm-up, TFLite, tags, metrics, and a client by other hands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import ovmsclient
import pytest
from ovmsclient.tfs_compat.base.errors import ModelNotFoundError
from support.model_servers import ServedHere, server_here
from support.saved_models import write_warmup
from support.serving_calls import Caller, predict_request, rest
from tensorflow_serving.apis import prediction_log_pb2

from sightline_serving.model_server.loading import VersionLoader
from sightline_serving.model_server.metrics import Metrics
from sightline_serving.model_server.status import StatusError


def predict_log(request: Any) -> Any:
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))


@pytest.fixture
def version(models: Path, tmp_path: Path) -> Path:
    """A copy of the module's version, for one test to write to."""
    return Path(shutil.copytree(models / "module" / "1", tmp_path / "m" / "1"))


def test_warm_up_records_are_replayed(version: Path) -> None:
    write_warmup(version, *[predict_log(predict_request("any", x=[1.0]))] * 3)
    metrics = Metrics()
    servable = VersionLoader(metrics)("m", 1, version)
    servable.retire()
    assert f'model_warmup_latency_count{{model_path="{version}",status="OK"}} 1' in metrics.page()


def test_a_warm_up_that_fails_keeps_the_version_from_serving(version: Path) -> None:
    write_warmup(version, predict_log(predict_request("any", nonsense=[1.0])))
    with pytest.raises(StatusError, match="Signature input alias: x"):
        VersionLoader(Metrics())("m", 1, version)
    VersionLoader(Metrics(), warm_up=False)("m", 1, version).retire()


def test_a_warm_up_file_of_another_format(version: Path) -> None:
    write_warmup(version)
    (version / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"no records at all")
    with pytest.raises(StatusError, match=r"Please verify your warmup data is in TFRecord format\."):
        VersionLoader(Metrics())("m", 1, version)


def test_other_tags(version: Path) -> None:
    with pytest.raises(StatusError) as caught:
        VersionLoader(Metrics(), tags=("serve", "gpu"))("m", 1, version)
    assert str(caught.value).startswith(
        "NOT_FOUND: Could not find meta graph def matching supplied tags: { gpu serve }. To inspect available"
    )


def test_tflite(models: Path) -> None:
    flags = ("--model_name=lite", f"--model_base_path={models / 'tflite'}", "--prefer_tflite_model")
    with server_here(*flags) as served, Caller(served.address) as caller:
        assert caller.outputs("lite", x=[1.0, 2.0, 5.0])["y"].tolist() == [2.5, 3.0, 4.5]
        assert caller.outputs("lite", x=[3.0])["y"].tolist() == [3.5]
        assert caller.metadata("lite").model_spec.version.value == 1
        answer = rest(f"{served.url}/v1/models/lite:predict", {"instances": [1.0]})
        assert answer.json == {"predictions": [2.5]}
        answer = rest(f"{served.url}/v1/models/lite:predict", {"instances": ["a"]})
        assert answer.status == 400


def test_without_the_flag_a_tflite_file_is_no_model(models: Path) -> None:
    with pytest.raises(StatusError, match="Could not find SavedModel"):
        VersionLoader(Metrics())("lite", 1, models / "tflite" / "1")


def test_garbage_for_a_tflite_file(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"garbage")
    with pytest.raises(StatusError, match="Cannot build FlatBuffer model from buffer"):
        VersionLoader(Metrics(), prefer_tflite=True)("lite", 1, tmp_path)


def test_metrics(server: ServedHere, caller: Caller) -> None:
    url = f"{server.url}/monitoring/prometheus/metrics"
    caller.outputs("half_plus_two", x=[1.0])
    caller.classify("half_plus_two", "classify_x_to_y", [example_of(1.0), example_of(2.0)])
    rest(f"{server.url}/v1/models/half_plus_two:predict", {"instances": [1.0]})
    rest(f"{server.url}/v1/models/metricless:predict", {"instances": [1.0]})
    answer = rest(url)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    name = ":tensorflow:serving:request_count"
    assert f"# TYPE {name} counter" in answer.text
    assert re.search(rf'^{name}{{model_name="half_plus_two",status="OK"}} \d+$', answer.text, re.MULTILINE)
    assert f'{name}{{model_name="metricless",status="NOT_FOUND"}} 1' in answer.text
    for sample in (
        ':tensorflow:serving:request_latency_bucket{model_name="half_plus_two",API="Predict",entrypoint="GRPC",le="10"}',
        ':tensorflow:serving:request_latency_count{model_name="half_plus_two",API="predict",entrypoint="REST"}',
        ':tensorflow:serving:runtime_latency_sum{model_name="half_plus_two",API="Classify",runtime="TF1"}',
        ':tensorflow:serving:request_example_counts_bucket{model="half_plus_two",le="2"}',
        ':tensorflow:serving:request_example_count_total{model="half_plus_two"}',
    ):
        assert sample in answer.text
    assert re.search(
        r':tensorflow:cc:saved_model:load_attempt_count\{model_path=".*",status="success"\} 1', answer.text
    )
    assert "# TYPE :tensorflow:serving:request_latency histogram" in answer.text


def test_no_metrics_without_the_monitoring_file(models: Path) -> None:
    with server_here("--model_name=module", f"--model_base_path={models / 'module'}") as served:
        assert rest(f"{served.url}/monitoring/prometheus/metrics").status == 404


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_ovmsclient(server: ServedHere, transport: str) -> None:
    """Written by others for the protocol, not for this server."""
    if transport == "grpc":
        client = ovmsclient.make_grpc_client(server.address)
        inputs = client.get_model_metadata("module")["inputs"]
    else:
        client = ovmsclient.make_http_client(server.url.removeprefix("http://"))
        signatures = client.get_model_metadata("module")["metadata"]["signature_def"]["signature_def"]
        inputs = signatures["serving_default"]["inputs"]
    assert inputs["x"]["dtype"] == "DT_FLOAT"
    assert client.get_model_status("module")[1]["state"] == "AVAILABLE"
    answer = client.predict({"x": np.float32([1, 2, 5])}, "module")
    np.testing.assert_array_equal(answer, np.float32([2.5, 3, 4.5]))
    with pytest.raises(ModelNotFoundError):
        client.get_model_status("nomodel")


def example_of(value: float) -> Any:
    from support.serving_calls import example

    return example(x=value)
