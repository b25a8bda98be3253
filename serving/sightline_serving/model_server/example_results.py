"""The outputs of a model -> the results of Classify and Regress, with the official checks and words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, regression_pb2

from sightline_serving.model_server.sessions import Array, type_name
from sightline_serving.model_server.status import invalid_argument

CLASSES: Final = "classes"
SCORES: Final = "scores"
OUTPUTS: Final = "outputs"

Outputs = Mapping[str, Array]  # by tensor name


def classifications(
    signature: meta_graph_pb2.SignatureDef, outputs: Outputs, count: int
) -> classification_pb2.ClassificationResult:
    """Labels and scores of each example, whichever of the two the signature has.

    Args:
        signature: says which tensors they are.
        outputs: arrays by tensor name.
        count: of examples.

    Raises:
        StatusError: INVALID_ARGUMENT, an output has another shape or type.
    """
    classes = _named(signature, CLASSES, outputs)
    scores = _named(signature, SCORES, outputs)
    for key, array, kind, wanted in ((CLASSES, classes, "O", "DT_STRING"), (SCORES, scores, "f", "DT_FLOAT")):
        if array is not None:
            _check_class_tensor(key, array, kind, wanted, count)
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid_argument(
            "Tensors class and score should match in dim_size(1). Got "
            f"{classes.shape[1]} vs. {scores.shape[1]}"
        )
    result = classification_pb2.ClassificationResult()
    width = next(array.shape[1] for array in (classes, scores) if array is not None)
    for row in range(count):
        one = result.classifications.add()
        for column in range(width):
            found = one.classes.add()
            if classes is not None:
                found.label = bytes(classes[row, column])
            if scores is not None:
                found.score = scores[row, column]
    return result


def _check_class_tensor(key: str, array: Array, kind: str, wanted: str, count: int) -> None:
    if array.ndim != 2:
        raise invalid_argument(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
    if array.dtype.kind != kind or (kind == "f" and array.dtype != np.float32):
        raise invalid_argument(f"Expected {key} Tensor of {wanted}. Got: {_type(array)}")
    if array.shape[0] != count:
        raise invalid_argument(f"Expected {key} output batch size of {count}. Got: {array.shape[0]}")


def regressions(
    signature: meta_graph_pb2.SignatureDef, outputs: Outputs, count: int
) -> regression_pb2.RegressionResult:
    """The value of each example; as `classifications`."""
    array = outputs[signature.outputs[OUTPUTS].name]
    if array.ndim != 1 and not (array.ndim == 2 and array.shape[1] == 1):
        raise invalid_argument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{_shape(array)}"
        )
    if array.shape[0] != count:
        raise invalid_argument(
            f"Input batch size did not match output batch size: {count} vs. {array.shape[0]}"
        )
    if array.dtype != np.float32:
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {_type(array)}")
    result = regression_pb2.RegressionResult()
    for value in array.ravel().tolist():
        result.regressions.add(value=value)
    return result


def _named(signature: meta_graph_pb2.SignatureDef, key: str, outputs: Outputs) -> Array | None:
    return outputs[signature.outputs[key].name] if key in signature.outputs else None


def _shape(array: Array) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _type(array: Array) -> str:
    return f"DT_{type_name(array.dtype).upper()}"
