"""Predict over gRPC: values, in every form that they may be sent in."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
import tensorflow as tf
from support.saved_models import PICTURE_SHAPE
from support.serving_calls import Caller, predict_request

X = np.array([1.0, 2.0, 5.0], np.float32)


@pytest.mark.parametrize("name", ["half_plus_two", "module"])
def test_predicts(caller: Caller, name: str) -> None:
    response = caller.predict(predict_request(name, x=X))
    assert response.outputs["y"].float_val == [2.5, 3.0, 4.5]
    assert not response.outputs["y"].tensor_content
    assert response.model_spec.name == name
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"


def test_every_output_in_its_typed_field(caller: Caller) -> None:
    a = np.array([0.5, 1.5], np.float32)
    response = caller.predict(predict_request("module", "add", a=a, b=np.array([-1, 2**40], np.int64)))
    assert response.outputs["b_again"].int64_val == [-1, 2**40]
    np.testing.assert_array_equal(response.outputs["sum"].float_val, a + np.float32([-1, 2**40]))


def test_strings(caller: Caller) -> None:
    words = np.array([b"one", b"", b"\xff\x00"], object)
    assert caller.outputs("module", "echo", words=words)["words"].tolist() == words.tolist()


def test_pictures_come_back_as_they_went(caller: Caller) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, *PICTURE_SHAPE), dtype=np.uint8)
    np.testing.assert_array_equal(caller.outputs("null", images=pictures)["images"], pictures)


def test_a_keras_export(caller: Caller) -> None:
    outputs = caller.outputs("keras", **{_only_input(caller, "keras"): np.ones((2, 4), np.float32)})
    np.testing.assert_allclose(next(iter(outputs.values())), [[4.0], [4.0]])


def _only_input(caller: Caller, name: str) -> str:
    from tensorflow_serving.apis import get_model_metadata_pb2

    signatures = get_model_metadata_pb2.SignatureDefMap()
    caller.metadata(name).metadata["signature_def"].Unpack(signatures)
    (alias,) = signatures.signature_def["serving_default"].inputs
    return str(alias)


def test_an_empty_batch(caller: Caller) -> None:
    assert caller.outputs("module", x=np.zeros(0, np.float32))["y"].shape == (0,)


def test_output_filter(caller: Caller) -> None:
    request = predict_request("module", "multiply", rows=np.ones((1, 4), np.float32))
    request.output_filter.append("sums")
    assert list(caller.predict(request).outputs) == ["sums"]


@pytest.mark.parametrize(
    ("field", "values", "expected"),
    [
        ("float_val", [1.0], [2.5, 2.5, 2.5]),  # the last value is repeated
        ("float_val", [1.0, 2.0, 5.0, 7.0], [2.5, 3.0, 4.5]),  # what is too much is cut
        ("float_val", [], [2.0, 2.0, 2.0]),  # nothing at all means zeros
        ("int_val", [7], [2.0, 2.0, 2.0]),  # the wrong field is as an empty one
    ],
)
def test_typed_fields(caller: Caller, field: str, values: list[float], expected: list[float]) -> None:
    request = predict_request("module", x=X)
    request.inputs["x"].tensor_content = b""
    del request.inputs["x"].float_val[:]
    getattr(request.inputs["x"], field).extend(values)
    assert caller.predict(request).outputs["y"].float_val == expected


def test_a_deadline_breaks_a_slow_model_off(caller: Caller) -> None:
    request = predict_request("module", "slow", turns=np.array([10**7], np.int32))
    with pytest.raises(grpc.RpcError) as caught:
        caller.predict(request, timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    # It was not merely the client that went away: the model is free again.
    quick = predict_request("module", "slow", turns=np.array([1], np.int32))
    assert tf.make_ndarray(caller.predict(quick).outputs["turns"]).tolist() == [1]
