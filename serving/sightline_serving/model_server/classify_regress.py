"""Classify, Regress and MultiInference: tf.Examples in, classes and values out.

Checks and words of the official classifier.cc, regressor.cc and multi_inference.cc.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    model_pb2,
    regression_pb2,
)

from sightline_serving.model_server.example_results import (
    CLASSES,
    OUTPUTS,
    SCORES,
    Outputs,
    classifications,
    regressions,
)
from sightline_serving.model_server.examples import serialize_examples
from sightline_serving.model_server.servable import DEFAULT_SIGNATURE, Servable
from sightline_serving.model_server.sessions import Array
from sightline_serving.model_server.status import invalid_argument, unimplemented

CLASSIFY_METHOD: Final = "tensorflow/serving/classify"
REGRESS_METHOD: Final = "tensorflow/serving/regress"

INPUTS: Final = "inputs"

_NO_SIGNATURE: Final = "No signature was found with the name: "


def classify(
    servable: Servable,
    request: classification_pb2.ClassificationRequest,
    timeout: float | None,
    *,
    check_method_name: bool = False,
) -> classification_pb2.ClassificationResponse:
    """Run a Classify request on a version that the caller holds.

    Args:
        servable: the version.
        request: as it came.
        timeout: seconds that the caller will wait, or None.
        check_method_name: refuse a signature that was saved for another method.

    Raises:
        StatusError: in the official words.
    """
    name, definition = _find_signature(servable, request.model_spec, _NO_SIGNATURE)
    fetches = _classification_tensors(definition, check_method_name)
    examples = serialize_examples(request.input)
    outputs = _run(servable, definition, examples, fetches, timeout)
    return classification_pb2.ClassificationResponse(
        result=classifications(definition, outputs, len(examples)), model_spec=servable.model_spec(name)
    )


def regress(
    servable: Servable,
    request: regression_pb2.RegressionRequest,
    timeout: float | None,
    *,
    check_method_name: bool = False,
) -> regression_pb2.RegressionResponse:
    """Run a Regress request; as `classify`."""
    name, definition = _find_signature(servable, request.model_spec, _NO_SIGNATURE)
    fetches = _regression_tensors(definition, check_method_name)
    examples = serialize_examples(request.input)
    outputs = _run(servable, definition, examples, fetches, timeout)
    return regression_pb2.RegressionResponse(
        result=regressions(definition, outputs, len(examples)), model_spec=servable.model_spec(name)
    )


def multi_inference(
    servable: Servable,
    request: inference_pb2.MultiInferenceRequest,
    timeout: float | None,
    *,
    check_method_name: bool = False,
) -> inference_pb2.MultiInferenceResponse:
    """Several signatures of one model over the same examples, in one run; as `classify`."""
    tasks = _plan(servable, request, check_method_name)
    examples = serialize_examples(request.input)
    fetches = list(dict.fromkeys(tensor for task in tasks for tensor in task.tensors))
    outputs = _run(servable, tasks[0].definition, examples, fetches, timeout)
    response = inference_pb2.MultiInferenceResponse()
    for task in tasks:
        result = response.results.add(model_spec=servable.model_spec(task.name))
        if task.method == CLASSIFY_METHOD:
            result.classification_result.CopyFrom(classifications(task.definition, outputs, len(examples)))
        else:
            result.regression_result.CopyFrom(regressions(task.definition, outputs, len(examples)))
    return response


# --- signatures -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Task:
    """One task of a MultiInference request, found sound."""

    name: str  # of the signature
    method: str
    definition: meta_graph_pb2.SignatureDef
    tensors: list[str]


def _plan(
    servable: Servable, request: inference_pb2.MultiInferenceRequest, check_method_name: bool
) -> list[_Task]:
    planned: list[_Task] = []
    for task in request.tasks:
        if not task.model_spec.name:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        if task.model_spec.name != servable.name:
            raise invalid_argument(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        asked = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if any(asked == earlier.name for earlier in planned):
            raise invalid_argument(f"Duplicate evaluation of signature: {asked}")
        name, definition = _find_signature(
            servable, task.model_spec, "Requested signature not found in model graph: "
        )
        if task.method_name == CLASSIFY_METHOD:
            tensors = _classification_tensors(definition, check_method_name)
        elif task.method_name == REGRESS_METHOD:
            tensors = _regression_tensors(definition, check_method_name)
        else:
            raise unimplemented(f"Unsupported signature method_name: {task.method_name}")
        if planned and planned[0].definition.inputs[INPUTS].name != definition.inputs[INPUTS].name:
            raise invalid_argument("Input tensor must be the same for all Signatures.")
        planned.append(_Task(name, task.method_name, definition, tensors))
    return planned


def _classification_tensors(signature: meta_graph_pb2.SignatureDef, check_method_name: bool) -> list[str]:
    if check_method_name:
        _check_method(signature, "classification", CLASSIFY_METHOD)
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid_argument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if INPUTS not in signature.inputs:
        raise invalid_argument(f"No classification inputs found in SignatureDef: {signature}")
    tensors = [signature.outputs[key].name for key in (CLASSES, SCORES) if key in signature.outputs]
    if not tensors:
        raise invalid_argument(
            "Expected classification signature outputs to contain at least one of "
            f'"{CLASSES}" or "{SCORES}". Signature was: {signature}'
        )
    return tensors


def _regression_tensors(signature: meta_graph_pb2.SignatureDef, check_method_name: bool) -> list[str]:
    if check_method_name:
        _check_method(signature, "regression", REGRESS_METHOD)
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    if INPUTS not in signature.inputs:
        raise invalid_argument(f"No regression inputs found in SignatureDef: {signature}")
    if OUTPUTS not in signature.outputs:
        raise invalid_argument(f"No regression outputs found in SignatureDef: {signature}")
    return [signature.outputs[OUTPUTS].name]


def _check_method(signature: meta_graph_pb2.SignatureDef, kind: str, expected: str) -> None:
    if signature.method_name != expected:
        raise invalid_argument(
            f"Expected {kind} signature method_name to be {expected}. Was: {signature.method_name}"
        )


def _find_signature(
    servable: Servable, spec: model_pb2.ModelSpec, complaint: str
) -> tuple[str, meta_graph_pb2.SignatureDef]:
    name = spec.signature_name or DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise invalid_argument(f"{complaint}{name}")
    return name, servable.signatures[name]


def _run(
    servable: Servable,
    signature: meta_graph_pb2.SignatureDef,
    examples: Array,
    fetches: list[str],
    timeout: float | None,
) -> Outputs:
    arrays = servable.session.run({signature.inputs[INPUTS].name: examples}, fetches, timeout)
    return dict(zip(fetches, arrays, strict=True))
