"""What a call names and the server does not have: models, versions, labels, signatures, fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.serving_calls import Caller, predict_request, refused
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

X = np.array([1.0, 2.0, 5.0], np.float32)

Change = Callable[[predict_pb2.PredictRequest], object]


def spec(**fields: Any) -> Change:
    """Merge into the model_spec."""
    return lambda request: request.model_spec.MergeFrom(model_pb2.ModelSpec(**fields))


def version(number: int) -> Change:
    return lambda request: setattr(request.model_spec.version, "value", number)


def without_spec(request: predict_pb2.PredictRequest) -> None:
    request.ClearField("model_spec")


def nothing(_: predict_pb2.PredictRequest) -> None:
    """Sent as it is."""


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


def test_no_spec_in_the_other_methods(caller: Caller) -> None:
    request = classification_pb2.ClassificationRequest()
    assert refused(caller.prediction.Classify, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    assert refused(caller.prediction.Regress, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")
