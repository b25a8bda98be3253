"""Calls to a model server with the official stubs and over REST, short enough for tests."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

TIMEOUT_S = 30.0


class Caller:
    """Both services of one server, by the official stubs."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()

    def predict(self, request: predict_pb2.PredictRequest, timeout: float = TIMEOUT_S) -> Any:
        return self.prediction.Predict(request, timeout=timeout)

    def outputs(self, name: str, signature: str = "", **inputs: Any) -> dict[str, Any]:
        """The arrays that Predict answers with."""
        response = self.predict(predict_request(name, signature, **inputs))
        return {alias: tf.make_ndarray(tensor) for alias, tensor in response.outputs.items()}

    def classify(self, name: str, signature: str, examples: list[Any]) -> Any:
        request = classification_pb2.ClassificationRequest()
        request.model_spec.name = name
        request.model_spec.signature_name = signature
        request.input.example_list.examples.extend(examples)
        return self.prediction.Classify(request, timeout=TIMEOUT_S)

    def status(self, name: str, version: int | None = None) -> Any:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
        return self.model.GetModelStatus(request, timeout=TIMEOUT_S)

    def states(self, name: str) -> dict[int, str]:
        """The state of each version, by its name."""
        return {
            told.version: get_model_status_pb2.ModelVersionStatus.State.Name(told.state)
            for told in self.status(name).model_version_status
        }

    def metadata(self, name: str) -> Any:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = name
        return self.prediction.GetModelMetadata(request, timeout=TIMEOUT_S)

    def reload(self, config: Any) -> Any:
        request = model_management_pb2.ReloadConfigRequest(config=config)
        return self.model.HandleReloadConfigRequest(request, timeout=TIMEOUT_S)


def predict_request(name: str, signature: str = "", /, **inputs: Any) -> predict_pb2.PredictRequest:
    """A request with numpy arrays, or things that become one, or ready-made TensorProtos."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for alias, value in inputs.items():
        tensor = value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
        request.inputs[alias].CopyFrom(tensor)
    return request


def example(**features: float) -> Any:
    """A tf.Example of floats."""
    made = tf.train.Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made


@dataclass(frozen=True)
class Answer:
    """Of REST."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def rest(
    url: str, body: Any = None, *, method: str | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """GET without a body, POST with one; a body that is not bytes or text is sent as JSON."""
    if body is not None and not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return Answer(response.status, response.read().decode(errors="replace"), dict(response.headers))
    except urllib.error.HTTPError as fault:
        with fault:
            return Answer(fault.code, fault.read().decode(errors="replace"), dict(fault.headers))


def float_rows(*rows: list[float]) -> Any:
    """float32 [N, M]."""
    return np.array(rows, np.float32)


def refused(call: Callable[..., Any], request: Any) -> tuple[str, str]:
    """Code and text of a call that must fail."""
    try:
        call(request, timeout=TIMEOUT_S)
    except grpc.RpcError as fault:
        return fault.code().name, fault.details()
    raise AssertionError("the call was answered")
