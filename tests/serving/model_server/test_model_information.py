"""GetModelStatus, GetModelMetadata, the health service and reflection, over gRPC."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from support.serving_calls import TIMEOUT_S, Caller
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2


def failure(call: Any, request: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=TIMEOUT_S)
    return caught.value.code().name, caught.value.details()


def test_status(caller: Caller) -> None:
    assert caller.states("module") == {1: "AVAILABLE"}
    (told,) = caller.status("module", 1).model_version_status
    assert told.HasField("status")
    assert (told.status.error_code, told.status.error_message) == (0, "")


def test_status_ignores_a_label(caller: Caller) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "module"
    request.model_spec.version_label = "whatever"
    assert len(caller.model.GetModelStatus(request, timeout=TIMEOUT_S).model_version_status) == 1


def test_metadata(caller: Caller) -> None:
    response = caller.metadata("module")
    assert (response.model_spec.name, response.model_spec.version.value) == ("module", 1)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["serving_default"].inputs["x"].name == "serving_default_x:0"
    assert "__saved_model_init_op" in signatures.signature_def


@pytest.mark.parametrize(
    "service", ["", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"]
)
def test_health(caller: Caller, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(caller.channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_tells_the_methods_and_their_messages(caller: Caller) -> None:
    """What grpcurl does: list the services, fetch the file of one, and the files that it needs."""
    stub = reflection_pb2_grpc.ServerReflectionStub(caller.channel)
    ask = reflection_pb2.ServerReflectionRequest
    listed, found = stub.ServerReflectionInfo(
        iter([ask(list_services=""), ask(file_containing_symbol="tensorflow.serving.PredictionService")]),
        timeout=TIMEOUT_S,
    )
    names = {service.name for service in listed.list_services_response.service}
    assert names >= {
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "grpc.health.v1.Health",
    }
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(raw)
        for raw in found.file_descriptor_response.file_descriptor_proto
    ]
    methods = {method.name for file in files for service in file.service for method in service.method}
    assert methods == {"Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata"}
    needed = [dependency for file in files for dependency in file.dependency]
    answers = stub.ServerReflectionInfo((ask(file_by_filename=name) for name in needed), timeout=TIMEOUT_S)
    assert all(answer.WhichOneof("message_response") == "file_descriptor_response" for answer in answers)
