"""Answers as JSON, laid out to the space as the official server's pretty-printer lays them out."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    regression_pb2,
)

from sightline_serving.model_server.json_tensors import Layout
from sightline_serving.model_server.status import invalid_argument
from sightline_serving.model_server.tensors import Array

_INDENT: Final = "    "
_BYTES_SUFFIX: Final = "_bytes"  # strings of outputs named so are sent as {"b64": …}
_ROUND_TRIP_DIGITS: Final = {np.dtype(np.float32): 9, np.dtype(np.float64): 17, np.dtype(np.float16): 9}


def predictions_json(outputs: Mapping[str, Array], layout: Layout) -> bytes:
    """A Predict answer in the layout of its request.

    Raises:
        StatusError: the outputs cannot be written so, in the official words.
    """
    if not outputs:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    texts = {name: _texts(name, array) for name, array in sorted(outputs.items())}
    if layout is Layout.COLUMNAR:
        if len(texts) == 1:
            (value,) = texts.values()
            return _wrap("outputs", _lines(value, 1))
        named = [f"{_key(name, 2)}{_lines(value, 2)}" for name, value in texts.items()]
        return _wrap("outputs", "{\n" + ",\n".join(named) + f"\n{_INDENT}}}")
    count = _batch_size(outputs)
    if len(texts) == 1:
        (rows,) = texts.values()
        if not count:
            return _wrap("predictions", "[]")
        return _wrap("predictions", f"[{', '.join(_line(row, 2) for row in rows)}\n{_INDENT}]")
    objects = []
    for index in range(count):
        members = [f"{_key(name, 3)}{_line(rows[index], 3)}" for name, rows in texts.items()]
        objects.append(_INDENT * 2 + "{\n" + ",\n".join(members) + f"\n{_INDENT * 2}}}")
    return _wrap("predictions", "[\n" + ",\n".join(objects) + f"\n{_INDENT}]" if objects else "[]")


def _batch_size(outputs: Mapping[str, Array]) -> int:
    size = -1
    for name, array in sorted(outputs.items()):
        if not array.ndim:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        if size not in (-1, array.shape[0]):
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} expecting: {size}"
            )
        size = array.shape[0]
    return size


def classifications_json(result: classification_pb2.ClassificationResult) -> bytes:
    """A Classify answer: for each example, pairs of label and score.

    Raises:
        StatusError: there is none.
    """
    if not result.classifications:
        raise invalid_argument("Cannot convert empty ClassificationResults to JSON")
    rows = []
    for one in result.classifications:
        scores = decimal_texts(np.array([found.score for found in one.classes], np.float32))
        pairs = (
            f"[{json.dumps(found.label, ensure_ascii=False)}, {score}]"
            for found, score in zip(one.classes, scores, strict=True)
        )
        rows.append(f"[{', '.join(pairs)}]")
    return _wrap("results", f"[{', '.join(rows)}\n{_INDENT}]")


def regressions_json(result: regression_pb2.RegressionResult) -> bytes:
    """A Regress answer: a value for each example.

    Raises:
        StatusError: there is none.
    """
    if not result.regressions:
        raise invalid_argument("Cannot convert empty RegressionResults to JSON")
    values = decimal_texts(np.array([one.value for one in result.regressions], np.float32))
    return _wrap("results", f"[{', '.join(values)}]")


def error_json(message: str) -> bytes:
    """The body of every error."""
    return _wrap("error", json.dumps(message, ensure_ascii=False))


def status_json(response: get_model_status_pb2.GetModelStatusResponse) -> bytes:
    """A GetModelStatus answer."""
    return _message(response).encode() + b"\n"


def metadata_json(response: get_model_metadata_pb2.GetModelMetadataResponse) -> bytes:
    """A GetModelMetadata answer; its one field is taken out of its Any."""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    spec = _message(response.model_spec)
    return (
        f'{{\n"model_spec":{spec}\n,\n"metadata": {{"signature_def": {_message(signatures)}\n}}\n}}\n'
    ).encode()


def _message(message: Message) -> str:
    return json_format.MessageToJson(
        message, indent=1, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


# --- layout ---------------------------------------------------------------------------------------


def _wrap(key: str, value: str) -> bytes:
    # Strings came in as bytes that need not be sound UTF-8, and go out unchanged.
    return f'{{\n{_INDENT}"{key}": {value}\n}}'.encode("utf-8", "surrogateescape")


def _key(name: str, level: int) -> str:
    return f"{_INDENT * level}{json.dumps(name, ensure_ascii=False)}: "


def _line(value: Any, level: int) -> str:
    """Nested lists of finished texts on one line; objects are always broken."""
    if isinstance(value, list):
        return f"[{', '.join(_line(part, level + 1) for part in value)}]"
    return _object(value, level)


def _lines(value: Any, level: int) -> str:
    """Nested lists of finished texts, one value on a line."""
    if not isinstance(value, list):
        return _object(value, level)
    if not value:
        return "[]"
    parts = (f"{_INDENT * (level + 1)}{_lines(part, level + 1)}" for part in value)
    return "[\n" + ",\n".join(parts) + f"\n{_INDENT * level}]"


def _object(value: Any, level: int) -> str:
    if isinstance(value, bytes):
        encoded = base64.b64encode(value).decode()
        return f'{{\n{_INDENT * (level + 1)}"b64": "{encoded}"\n{_INDENT * level}}}'
    return str(value)


# --- values ---------------------------------------------------------------------------------------


def _texts(name: str, array: Array) -> Any:
    """An array as nested lists of JSON texts; strings to be sent as base64 stay bytes."""
    if array.dtype.kind in "OS":
        flat: list[Any] = list(map(bytes, array.ravel().tolist()))
        if not name.endswith(_BYTES_SUFFIX):
            flat = [json.dumps(text.decode("utf-8", "surrogateescape"), ensure_ascii=False) for text in flat]
    elif array.dtype.kind == "b":
        flat = ["true" if value else "false" for value in array.ravel().tolist()]
    elif array.dtype.kind in "iu":
        flat = list(map(str, array.ravel().tolist()))
    elif array.dtype in _ROUND_TRIP_DIGITS:
        flat = decimal_texts(array.ravel())
    else:
        raise invalid_argument(f"Failed to write JSON value for tensor type: {array.dtype.name}")
    nested = np.empty(array.shape, np.object_)
    nested.ravel()[:] = flat
    return nested.tolist()


def decimal_texts(values: Array) -> list[str]:
    """Each number in six digits if they say it exactly, else in as many as make sure; never as an integer."""
    texts = [f"{value:g}" for value in values.tolist()]
    with np.errstate(over="ignore"):
        inexact = np.array([float(text) for text in texts], np.float64).astype(values.dtype) != values
    digits = _ROUND_TRIP_DIGITS[values.dtype]
    for index in np.flatnonzero(inexact):
        texts[index] = f"{float(values[index]):.{digits}g}"
    return [_decimal_text(text) for text in texts]


def _decimal_text(text: str) -> str:
    if "." in text or "e" in text:
        return text
    value = float(text)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return f"{text}.0"
