"""Our small .proto against the official descriptors: numbers, types and labels must not drift."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from tensorflow.core.framework import (
    attr_value_pb2,
    function_pb2,
    graph_pb2,
    node_def_pb2,
    tensor_pb2,
    tensor_shape_pb2,
    types_pb2,
)
from tensorflow.core.protobuf import error_codes_pb2, meta_graph_pb2, saved_model_pb2, saver_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
    prediction_log_pb2,
    status_pb2,
)

from sightline.wire import serving_pb2 as wire

OFFICIAL = {
    "TensorShapeProto": tensor_shape_pb2.TensorShapeProto,
    "TensorProto": tensor_pb2.TensorProto,
    "ModelSpec": model_pb2.ModelSpec,
    "PredictRequest": predict_pb2.PredictRequest,
    "PredictResponse": predict_pb2.PredictResponse,
    "TensorInfo": meta_graph_pb2.TensorInfo,
    "SignatureDef": meta_graph_pb2.SignatureDef,
    "SignatureDefMap": get_model_metadata_pb2.SignatureDefMap,
    "GetModelMetadataRequest": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelMetadataResponse": get_model_metadata_pb2.GetModelMetadataResponse,
    "StatusProto": status_pb2.StatusProto,
    "GetModelStatusRequest": get_model_status_pb2.GetModelStatusRequest,
    "ModelVersionStatus": get_model_status_pb2.ModelVersionStatus,
    "GetModelStatusResponse": get_model_status_pb2.GetModelStatusResponse,
    "PredictLog": prediction_log_pb2.PredictLog,
    "PredictionLog": prediction_log_pb2.PredictionLog,
    "AttrValue": attr_value_pb2.AttrValue,
    "NodeDef": node_def_pb2.NodeDef,
    "FunctionDef": function_pb2.FunctionDef,
    "FunctionDefLibrary": function_pb2.FunctionDefLibrary,
    "GraphDef": graph_pb2.GraphDef,
    "SaverDef": saver_pb2.SaverDef,
    "MetaGraphDef": meta_graph_pb2.MetaGraphDef,
    "SavedModel": saved_model_pb2.SavedModel,
}


def shape_of(field: FieldDescriptor) -> tuple[object, ...]:
    target = field.message_type or field.enum_type
    return (field.name, field.type, field.is_repeated, target.name if target else None)


def assert_same(ours: Descriptor, official: Descriptor) -> None:
    for field in ours.fields:
        assert field.number in official.fields_by_number, f"{ours.name}.{field.name}: no such number"
        assert shape_of(field) == shape_of(official.fields_by_number[field.number]), ours.name
    for nested in ours.nested_types:
        assert_same(nested, official.nested_types_by_name[nested.name])
    for enum in ours.enum_types:
        theirs = official.enum_types_by_name[enum.name]
        assert {v.name: v.number for v in enum.values} == {v.name: v.number for v in theirs.values}


def test_every_message_of_ours_is_compared() -> None:
    assert set(OFFICIAL) == set(wire.DESCRIPTOR.message_types_by_name)


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_fields_are_the_official_ones(name: str) -> None:
    assert_same(wire.DESCRIPTOR.message_types_by_name[name], OFFICIAL[name].DESCRIPTOR)


@pytest.mark.parametrize(
    ("ours", "official"), [(wire.DataType, types_pb2.DataType), (wire.Code, error_codes_pb2.Code)]
)
def test_enums_are_the_official_ones(ours: Any, official: Any) -> None:
    numbers = {value.name: value.number for value in ours.DESCRIPTOR.values}
    assert numbers
    assert numbers.items() <= {value.name: value.number for value in official.DESCRIPTOR.values}.items()


def test_bytes_of_ours_are_read_by_the_official_message() -> None:
    ours = wire.PredictRequest(
        model_spec=wire.ModelSpec(name="droids", version_label="stable", signature_name="serving_default"),
        inputs={"images": wire.TensorProto(dtype=wire.DT_UINT8, tensor_content=b"\x01\x02")},
        output_filter=["detection_boxes"],
    )
    official = predict_pb2.PredictRequest.FromString(ours.SerializeToString())
    assert official.model_spec.version_label == "stable"
    assert official.inputs["images"].tensor_content == b"\x01\x02"
    assert official.SerializeToString(deterministic=True) == ours.SerializeToString(deterministic=True)
