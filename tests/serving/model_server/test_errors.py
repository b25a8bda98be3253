"""Every way that a gRPC call is refused: code and text, as a server built from the official sources gave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from support.model_servers import server_here
from support.serving_calls import TIMEOUT_S, Caller, predict_request
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

from sightline_serving.model_server.grpc_services import CUT, MESSAGE_LIMIT

X = np.array([1.0, 2.0, 5.0], np.float32)
ROWS = np.ones((1, 4), np.float32)

Change = Callable[[predict_pb2.PredictRequest], object]


def refused(call: Any, request: Any) -> tuple[str, str]:
    """Code and text of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=TIMEOUT_S)
    return caught.value.code().name, caught.value.details()


def spec(**fields: Any) -> Change:
    """Merge into the model_spec."""
    return lambda request: request.model_spec.MergeFrom(model_pb2.ModelSpec(**fields))


def version(number: int) -> Change:
    return lambda request: setattr(request.model_spec.version, "value", number)


def without_spec(request: predict_pb2.PredictRequest) -> None:
    request.ClearField("model_spec")


def tensor(change: Callable[[tensor_pb2.TensorProto], object]) -> Change:
    """Spoil the tensor `x`."""
    return lambda request: change(request.inputs["x"])


def outputs(*aliases: str) -> Change:
    return lambda request: request.output_filter.extend(aliases)


def nothing(_: predict_pb2.PredictRequest) -> None:
    """Sent as it is."""


NOT_SENT = "not found in request and no default value provided. Inputs expected to be in the request "
# What is wrong, the request, how it is changed, code, text.
PREDICT = [
    (
        "model",
        predict_request("nomodel", x=X),
        nothing,
        "NOT_FOUND",
        "Servable not found for request: Latest(nomodel)",
    ),
    (
        "version",
        predict_request("module", x=X),
        version(999),
        "NOT_FOUND",
        "Servable not found for request: Specific(module, 999)",
    ),
    (
        "negative version",
        predict_request("module", x=X),
        version(-1),
        "NOT_FOUND",
        "Servable not found for request: Specific(module, -1)",
    ),
    (
        "version of a missing model",
        predict_request("nomodel", x=X),
        version(7),
        "NOT_FOUND",
        "Servable not found for request: Specific(nomodel, 7)",
    ),
    ("empty name", predict_request("", x=X), nothing, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    ("no model_spec", predict_request("module", x=X), without_spec, "INVALID_ARGUMENT", "Missing ModelSpec"),
    (
        "label",
        predict_request("module", x=X),
        spec(version_label="stable"),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: stable",
    ),
    (
        "label of a missing model",
        predict_request("nomodel", x=X),
        spec(version_label="stable"),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: stable",
    ),
    (
        "input name",
        predict_request("module", wrongname=X),
        nothing,
        "INVALID_ARGUMENT",
        f"Signature input alias: x(feed name: serving_default_x:0) {NOT_SENT}{{wrongname}}, "
        "or default input alias set: ",
    ),
    (
        "extra input",
        predict_request("module", x=X, extra=X),
        nothing,
        "INVALID_ARGUMENT",
        "input size does not match signature: 2!=1 len({extra,x}) != len({x}). Sent extra: {extra}. "
        "Missing but required: {}.",
    ),
    (
        "no inputs",
        predict_request("module"),
        nothing,
        "INVALID_ARGUMENT",
        "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. "
        "Missing but required: {x}.",
    ),
    (
        "one of two inputs",
        predict_request("module", "add", a=X),
        nothing,
        "INVALID_ARGUMENT",
        "input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. "
        "Missing but required: {b}.",
    ),
    (
        "dtype",
        predict_request("null", images=X),
        nothing,
        "INVALID_ARGUMENT",
        "Expects arg[0] to be uint8 but float is provided",
    ),
    (
        "double for float",
        predict_request("module", x=np.zeros(2)),
        nothing,
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but double is provided",
    ),
    (
        "strings for numbers",
        predict_request("module", x=np.array([b"a"], object)),
        nothing,
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but string is provided",
    ),
    (
        "numbers for strings",
        predict_request("module", "echo", words=X),
        nothing,
        "INVALID_ARGUMENT",
        "Expects arg[0] to be string but float is provided",
    ),
    (
        "content of another length",
        predict_request("module", x=X),
        tensor(lambda x: setattr(x, "tensor_content", b"abc")),
        "INVALID_ARGUMENT",
        "tensor parsing error: x",
    ),
    (
        "no dtype",
        predict_request("module", x=X),
        tensor(lambda x: setattr(x, "dtype", 0)),
        "INVALID_ARGUMENT",
        "tensor parsing error: x",
    ),
    (
        "negative size",
        predict_request("module", x=X),
        tensor(lambda x: setattr(x.tensor_shape.dim[0], "size", -1)),
        "INVALID_ARGUMENT",
        "tensor parsing error: x",
    ),
    (
        "unknown rank",
        predict_request("module", x=X),
        tensor(lambda x: setattr(x.tensor_shape, "unknown_rank", True)),
        "INVALID_ARGUMENT",
        "tensor parsing error: x",
    ),
    (
        "signature",
        predict_request("module", "nosig", x=X),
        nothing,
        "FAILED_PRECONDITION",
        'Serving signature key "nosig" not found.',
    ),
    (
        "a signature that only initialises",
        predict_request("module", "__saved_model_init_op"),
        nothing,
        "INVALID_ARGUMENT",
        "Tried to fetch data for 'NoOp', which produces no output.  To run to a node but not fetch any data, "
        "pass 'NoOp' as an argument to the 'target_node_names' argument of the Session::Run API.",
    ),
    (
        "output",
        predict_request("module", "multiply", rows=ROWS),
        outputs("nope"),
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: nope Outputs expected to be in the set {products,sums}.",
    ),
    (
        "output twice",
        predict_request("module", "multiply", rows=ROWS),
        outputs("sums", "sums"),
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: sums",
    ),
]


@pytest.mark.parametrize(
    ("request_", "change", "code", "text"), [row[1:] for row in PREDICT], ids=[row[0] for row in PREDICT]
)
def test_predict(caller: Caller, request_: Any, change: Change, code: str, text: str) -> None:
    request = predict_pb2.PredictRequest()
    request.CopyFrom(request_)
    change(request)
    assert refused(caller.prediction.Predict, request) == (code, text)


@pytest.mark.parametrize(
    ("model_spec", "code", "text"),
    [
        (None, "INVALID_ARGUMENT", "Missing ModelSpec"),
        (model_pb2.ModelSpec(name="nomodel"), "NOT_FOUND", "Could not find any versions of model nomodel"),
        (model_pb2.ModelSpec(), "NOT_FOUND", "Could not find any versions of model "),
        (
            model_pb2.ModelSpec(name="module", version={"value": 999}),
            "NOT_FOUND",
            "Could not find version 999 of model module",
        ),
    ],
)
def test_status(caller: Caller, model_spec: Any, code: str, text: str) -> None:
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec)
    assert refused(caller.model.GetModelStatus, request) == (code, text)


@pytest.mark.parametrize(
    ("model_spec", "fields", "code", "text"),
    [
        (None, [], "INVALID_ARGUMENT", "Missing ModelSpec"),
        (
            model_pb2.ModelSpec(name="module"),
            [],
            "INVALID_ARGUMENT",
            "GetModelMetadataRequest must specify at least one metadata_field",
        ),
        (
            model_pb2.ModelSpec(name="module"),
            ["signature_def", "foo"],
            "INVALID_ARGUMENT",
            "Metadata field foo is not supported",
        ),
        (model_pb2.ModelSpec(), ["signature_def"], "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (
            model_pb2.ModelSpec(name="nomodel"),
            ["signature_def"],
            "NOT_FOUND",
            "Servable not found for request: Latest(nomodel)",
        ),
    ],
)
def test_metadata(caller: Caller, model_spec: Any, fields: list[str], code: str, text: str) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=model_spec, metadata_field=fields)
    assert refused(caller.prediction.GetModelMetadata, request) == (code, text)


@pytest.mark.parametrize("length", [MESSAGE_LIMIT - 100, MESSAGE_LIMIT, 8 * MESSAGE_LIMIT])
def test_a_long_text_is_cut(caller: Caller, length: int) -> None:
    prefix = 'Serving signature key "'
    name = "s" * (length - len(prefix) - len('" not found.'))
    whole = f'{prefix}{name}" not found.'
    assert len(whole) == length
    expected = whole if length <= MESSAGE_LIMIT else whole[:MESSAGE_LIMIT] + CUT
    assert refused(caller.prediction.Predict, predict_request("module", name, x=X)) == (
        "FAILED_PRECONDITION",
        expected,
    )


def test_bytes_that_are_no_message(caller: Caller) -> None:
    call: Any = caller.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    assert refused(call, b"\xff\xff\xff")[0] == "INTERNAL"
    unknown: Any = caller.channel.unary_unary("/tensorflow.serving.PredictionService/Nope")
    assert refused(unknown, b"")[0] == "UNIMPLEMENTED"


def test_no_spec_in_the_other_methods(caller: Caller) -> None:
    request = classification_pb2.ClassificationRequest()
    assert refused(caller.prediction.Classify, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    assert refused(caller.prediction.Regress, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")


def test_variables_that_only_python_restores(tmp_path: Path) -> None:
    """Keras 3's wrappers beside the raw values: loaded, AVAILABLE, and no call succeeds."""
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    module = tf.Module()
    module.model = model
    module.call = tf.function(
        lambda rows: {"y": model(rows)}, input_signature=[tf.TensorSpec([None, 2], tf.float32, "rows")]
    )
    tf.saved_model.save(module, str(tmp_path / "m" / "1"), signatures=module.call)
    with (
        server_here("--model_name=m", f"--model_base_path={tmp_path / 'm'}") as served,
        Caller(served.address) as caller,
    ):
        assert caller.states("m") == {1: "AVAILABLE"}
        code, text = refused(
            caller.prediction.Predict, predict_request("m", rows=np.ones((1, 2), np.float32))
        )
    assert code == "FAILED_PRECONDITION"
    assert "Could not find variable" in text
