"""JSON -> tf.Examples: the body of the Classify and Regress API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow_serving.apis import input_pb2

from sightline_serving.model_server.json_values import (
    decode_base64,
    format_error,
    is_base64,
    quote,
    to_bytes,
    type_of,
)
from sightline_serving.model_server.status import StatusError, invalid_argument

EXAMPLES: Final = "examples"
CONTEXT: Final = "context"

_INT64: Final = (-(2**63), 2**63 - 1)
_UINT64_MAX: Final = 2**64 - 1
_FLOAT_MAX: Final = 3.4028234663852886e38


def read_examples(document: Mapping[str, Any]) -> input_pb2.Input:
    """The examples of a request body, with their shared context if it has one.

    Raises:
        StatusError: INVALID_ARGUMENT, in the official words.
    """
    found = input_pb2.Input()
    target = found.example_list.examples
    if CONTEXT in document:
        found.example_list_with_context.context.CopyFrom(_example(document[CONTEXT]))
        target = found.example_list_with_context.examples
    if EXAMPLES not in document:
        raise format_error(document, "When method is classify, key 'examples' is expected and was not found")
    examples = document[EXAMPLES]
    if not isinstance(examples, list):
        raise format_error(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise format_error(document, "'examples' value is an empty array")
    target.extend(_example(example) for example in examples)
    return found


def _example(value: Any) -> example_pb2.Example:
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {type_of(value)}")
    example = example_pb2.Example()
    for name, content in value.items():
        feature = example.features.feature[name]
        for element in content if isinstance(content, list) else [content]:
            _add(feature, name, element)
    return example


def _add(feature: feature_pb2.Feature, name: str, value: Any) -> None:
    if isinstance(value, str):
        _values(feature, name, "bytes_list").append(to_bytes(value))
    elif is_base64(value):
        _values(feature, name, "bytes_list").append(decode_base64(value))
    elif isinstance(value, bool):
        _values(feature, name, "int64_list").append(int(value))
    elif isinstance(value, int) and _INT64[0] <= value <= _UINT64_MAX:
        target = _values(feature, name, "int64_list")
        if value > _INT64[1]:
            raise invalid_argument(f"Feature: {name} has uint64 element. Only int64 is supported.")
        target.append(value)
    elif isinstance(value, int | float):
        target = _values(feature, name, "float_list")
        if abs(value) > _FLOAT_MAX and abs(value) != float("inf"):
            raise _lossy(value)
        target.append(value)
    else:
        raise invalid_argument(f"Feature: {name} has element with unexpected JSON type: {type_of(value)}")


def _values(feature: feature_pb2.Feature, name: str, kind: str) -> Any:
    """The list to add to; a feature is all of one kind."""
    present = feature.WhichOneof("kind")
    if present not in (None, kind):
        expected = str(present).removesuffix("_list")
        raise invalid_argument(f"Unexpected element type in feature: {name} expecting type: {expected}")
    return getattr(feature, kind).value


def _lossy(value: float) -> StatusError:
    return invalid_argument(f"Cannot convert JSON value: {quote(value)} to float without loss of precision.")
