"""Tensors that a call sends, or asks for, in a form that the model cannot take."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.serving_calls import Caller, predict_request, refused
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

X = np.array([1.0, 2.0, 5.0], np.float32)
ROWS = np.ones((1, 4), np.float32)

Change = Callable[[predict_pb2.PredictRequest], object]


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


# There is no check against the signature's shape: the ops complain, in their own words and with their node.
NODE = r"\n\t \[\[\{\{.*node .+\}\}\]\]"


OPS = [
    (
        "rank",
        predict_request("module", "decode", jpegs=np.array([[b"no"]], object)),
        r"Specified a list with shape \[\] from a tensor with shape \[1\]",
    ),
    (
        "channels",
        predict_request("module", "multiply", rows=np.ones((1, 5), np.float32)),
        r"Matrix size-incompatible: In\[0\]: \[1,5\], In\[1\]: \[4,3\]",
    ),
    (
        "not an image",  # the list of formats grows with TensorFlow
        predict_request("module", "decode", jpegs=np.array([b"no"], object)),
        r"Unknown image file format\. One of JPEG, (JPEG XL, )?PNG, GIF, BMP(, WebP)? required\.",
    ),
]


@pytest.mark.parametrize(("request_", "text"), [row[1:] for row in OPS], ids=[row[0] for row in OPS])
def test_the_ops_complain_with_their_node(caller: Caller, request_: Any, text: str) -> None:
    code, told = refused(caller.prediction.Predict, request_)
    assert code == "INVALID_ARGUMENT"
    assert re.fullmatch(text + NODE, told)
