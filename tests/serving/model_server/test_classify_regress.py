"""Classify, Regress and MultiInference over gRPC."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from support.serving_calls import TIMEOUT_S, Caller, example
from tensorflow_serving.apis import inference_pb2, input_pb2, regression_pb2

MODEL = "half_plus_two"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


def examples(*values: float) -> Any:
    return input_pb2.Input(
        example_list=input_pb2.ExampleList(examples=[example(x=value) for value in values])
    )


def regression(signature: str, request_input: Any, model: str = MODEL) -> Any:
    request = regression_pb2.RegressionRequest(input=request_input)
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    return request


def inference(request_input: Any, *tasks: tuple[str, str]) -> Any:
    request = inference_pb2.MultiInferenceRequest(input=request_input)
    for signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name = MODEL
        task.model_spec.signature_name = signature
    return request


def failure(call: Any, request: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=TIMEOUT_S)
    return caught.value.code().name, caught.value.details()


def test_classifies(caller: Caller) -> None:
    response = caller.classify(MODEL, "classify_x_to_y", [example(x=2.0), example(x=4.0)])
    scores = [[found.score for found in one.classes] for one in response.result.classifications]
    assert scores == [[3.0], [4.0]]
    assert response.model_spec.signature_name == "classify_x_to_y"
    assert response.model_spec.version.value == 1


def test_regresses(caller: Caller) -> None:
    response = caller.prediction.Regress(regression("regress_x_to_y", examples(2.0, 4.0)), timeout=TIMEOUT_S)
    assert [one.value for one in response.result.regressions] == [3.0, 4.0]
    assert response.model_spec.name == MODEL


def test_a_context_is_shared_by_all_examples(caller: Caller) -> None:
    given = input_pb2.Input()
    given.example_list_with_context.context.CopyFrom(example(x=2.0))
    given.example_list_with_context.examples.extend([example(x2=0.0), example(x=4.0)])
    response = caller.prediction.Regress(regression("regress_x_to_y", given), timeout=TIMEOUT_S)
    assert [one.value for one in response.result.regressions] == [3.0, 4.0]


def test_several_signatures_in_one_run(caller: Caller) -> None:
    request = inference(examples(2.0), ("regress_x_to_y", REGRESS), ("classify_x_to_y", CLASSIFY))
    response = caller.prediction.MultiInference(request, timeout=TIMEOUT_S)
    first, second = response.results
    assert first.regression_result.regressions[0].value == 3.0
    assert first.model_spec.signature_name == "regress_x_to_y"
    assert second.classification_result.classifications[0].classes[0].score == 3.0


def test_no_examples(caller: Caller) -> None:
    for empty in (input_pb2.Input(), examples()):
        request = regression("regress_x_to_y", empty)
        assert failure(caller.prediction.Regress, request) == ("INVALID_ARGUMENT", "Input is empty.")


def test_unknown_signature_and_model(caller: Caller) -> None:
    assert failure(caller.prediction.Regress, regression("nosig", examples(1.0))) == (
        "INVALID_ARGUMENT",
        "No signature was found with the name: nosig",
    )
    assert failure(caller.prediction.Regress, regression("", examples(1.0), "nomodel")) == (
        "NOT_FOUND",
        "Servable not found for request: Latest(nomodel)",
    )


def test_signatures_of_another_kind(caller: Caller) -> None:
    code, message = failure(caller.prediction.Regress, regression("serving_default", examples(1.0)))
    assert code == "INVALID_ARGUMENT"
    assert message.startswith("No regression inputs found in SignatureDef: ")
    code, message = failure(caller.prediction.Regress, regression("add", examples(1.0), "module"))
    assert (code, message) == ("INVALID_ARGUMENT", "Expected one input Tensor.")


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        (
            [("regress_x_to_y", REGRESS)] * 2,
            ("INVALID_ARGUMENT", "Duplicate evaluation of signature: regress_x_to_y"),
        ),
        ([("nosig", REGRESS)], ("INVALID_ARGUMENT", "Requested signature not found in model graph: nosig")),
        (
            [("serving_default", "tensorflow/serving/predict")],
            ("UNIMPLEMENTED", "Unsupported signature method_name: tensorflow/serving/predict"),
        ),
    ],
)
def test_unsound_tasks(caller: Caller, tasks: list[tuple[str, str]], expected: tuple[str, str]) -> None:
    assert failure(caller.prediction.MultiInference, inference(examples(1.0), *tasks)) == expected


def test_tasks_of_different_models(caller: Caller) -> None:
    request = inference(examples(1.0), ("regress_x_to_y", REGRESS), ("regress_x_to_y2", REGRESS))
    request.tasks[1].model_spec.name = "module"
    assert failure(caller.prediction.MultiInference, request) == (
        "INVALID_ARGUMENT",
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    )
    assert failure(caller.prediction.MultiInference, inference_pb2.MultiInferenceRequest())[1] == (
        "ModelSpec has no name specified."
    )
