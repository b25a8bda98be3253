"""JSON to tensors: the official rules, in the official words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from sightline_serving.model_server.json_examples import read_examples
from sightline_serving.model_server.json_results import decimal_texts
from sightline_serving.model_server.json_tensors import Layout, read_tensors
from sightline_serving.model_server.json_values import parse_object
from sightline_serving.model_server.status import StatusError


def infos(**types: str) -> dict[str, Any]:
    return {
        alias: meta_graph_pb2.TensorInfo(dtype=getattr(types_pb2, f"DT_{kind.upper()}"))
        for alias, kind in types.items()
    }


def read(body: str, **types: str) -> tuple[dict[str, Any], Layout]:
    return read_tensors(parse_object(body.encode()), infos(**types), "")


def complaint(body: str, **types: str) -> str:
    with pytest.raises(StatusError) as caught:
        read(body, **types)
    return caught.value.message


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("[[1, 2], [3, 4]]", "float", np.float32([[1, 2], [3, 4]])),
        ("[1.5, 2, -3e2]", "double", np.float64([1.5, 2, -300])),
        ("5", "int32", np.int32(5)),
        ("[300, -1]", "uint8", np.uint8([44, 255])),
        ("[9223372036854775807]", "int64", np.int64([2**63 - 1])),
        ("[18446744073709551615]", "uint64", np.uint64([2**64 - 1])),
        ("[true, false]", "bool", np.array([True, False])),
        ("[]", "float", np.zeros(0, np.float32)),
        ("[[], []]", "float", np.zeros((2, 0), np.float32)),
        ("[1e39, 1]", "double", np.float64([1e39, 1])),
    ],
)
def test_columns(value: str, kind: str, expected: Any) -> None:
    tensors, layout = read(f'{{"inputs": {value}}}', x=kind)
    assert layout is Layout.COLUMNAR
    np.testing.assert_array_equal(tensors["x"], expected)
    assert tensors["x"].dtype == expected.dtype


def test_strings() -> None:
    tensors, _ = read('{"inputs": ["\\u00e9", {"b64": "AP8="}, {"b64": "AP8"}]}', x="string")
    assert tensors["x"].tolist() == ["é".encode(), b"\x00\xff", b"\x00\xff"]


def test_rows_are_batched() -> None:
    tensors, layout = read(
        '{"instances": [{"a": [1, 2], "b": 3}, {"a": [4, 5], "b": 6}]}', a="float", b="int64"
    )
    assert layout is Layout.ROW
    np.testing.assert_array_equal(tensors["a"], np.float32([[1, 2], [4, 5]]))
    np.testing.assert_array_equal(tensors["b"], np.int64([3, 6]))


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3), min_size=1))
def test_the_short_way_and_the_long_way_agree(rows: list[list[float]]) -> None:
    expected = np.float32(rows)
    tensors, _ = read(json.dumps({"inputs": rows}), x="float")
    np.testing.assert_array_equal(tensors["x"], expected)
    by_row, _ = read(json.dumps({"instances": rows}), x="float")
    np.testing.assert_array_equal(by_row["x"], expected)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_decimals_come_back_as_they_were(value: float) -> None:
    (text,) = decimal_texts(np.float32([value]))
    assert np.float32(json.loads(text)) == np.float32(value)
    assert isinstance(json.loads(text), float)


FAILED = "Failed to process element: {} of 'instances' list. Error: INVALID_ARGUMENT: {}"


@pytest.mark.parametrize(
    ("body", "types", "message"),
    [
        (
            '{"inputs": [[1, 2], [3]]}',
            {"x": "float"},
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
        (
            '{"inputs": [1, [2]]}',
            {"x": "float"},
            "Encountered list at unexpected level: 1 expected < 1",
        ),
        (
            '{"inputs": [[1], 2]}',
            {"x": "float"},
            "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        ),
        ('{"inputs": [true]}', {"x": "float"}, "JSON Value: true Type: True is not of expected type: float"),
        ('{"inputs": [null]}', {"x": "int32"}, "JSON Value: null Type: Null is not of expected type: int32"),
        ('{"inputs": [1.5]}', {"x": "int64"}, "JSON Value: 1.5 Type: Number is not of expected type: int64"),
        (
            '{"inputs": [3000000000]}',
            {"x": "int32"},
            "JSON Value: 3000000000 Type: Number is not of expected type: int32",
        ),
        (
            '{"inputs": [16777217]}',
            {"x": "float"},
            "Cannot convert JSON value: 16777217 to float without loss of precision.",
        ),
        (
            '{"inputs": [1e39]}',
            {"x": "float"},
            "Cannot convert JSON value: 1e+39 to float without loss of precision.",
        ),
        ('{"inputs": [1]}', {"x": "string"}, "JSON Value: 1 Type: Number is not of expected type: string"),
        (
            '{"inputs": {"b64": "AP8="}}',
            {"x": "float"},
            'JSON Value: {\n    "b64": "AP8="\n} Type: Object is not of expected type: float',
        ),
        ('{"inputs": [{"b64": "?"}]}', {"x": "string"}, "Unable to base64 decode"),
        (
            '{"inputs": [{"b65": "AP8="}]}',
            {"x": "string"},
            'JSON Value: {\n    "b65": "AP8="\n} not formatted correctly for base64 data',
        ),
        (
            '{"inputs": [1]}',
            {"x": "complex64"},
            "Conversion of JSON Value: 1 to type: complex64",
        ),
        (
            '{"inputs": [1]}',
            {"x": "float", "y": "float"},
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map",
        ),
        ('{"inputs": {"x": 1}}', {"x": "float", "y": "float"}, "Missing named input: y in 'inputs' object."),
        (
            '{"instances": [1]}',
            {"x": "float", "y": "float"},
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per "
            "tensorinfo_map",
        ),
        (
            '{"instances": [{"x": 1}, 2]}',
            {"x": "float"},
            "Expecting object but got list at item 1 of input list",
        ),
        (
            '{"instances": [1, {"x": 1}]}',
            {"x": "float"},
            "Expecting value/list but got object at item 1 of input list",
        ),
        (
            '{"instances": [[1, 2], [3]]}',
            {"x": "float"},
            FAILED.format(1, "Expecting tensor size: 2 but got: 1"),
        ),
        (
            '{"instances": [[[1, 2]], [[3], [4]]]}',
            {"x": "float"},
            FAILED.format(1, "Expecting shape [1,2] but got: [2,1]"),
        ),
        (
            '{"instances": [{"z": 1}]}',
            {"x": "float"},
            FAILED.format("0 key: z", "JSON object: does not have named input: z"),
        ),
        (
            '{"instances": [{"x": 1}]}',
            {"x": "float", "y": "float"},
            "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"x\": 1\n} "
            "keys must be equal to: x,y",
        ),
        (
            '{"instances": [1], "inputs": [1]}',
            {"x": "float"},
            'JSON Value: {\n    "instances": [\n        1\n    ],\n    "inputs": [\n        1\n '
            "   ]\n} Not formatted "
            "correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        ),
        ('{"inputs": [1]}', {}, "Failed to get input map for signature: DEFAULT"),
        ('{"inputs": [1,]}', {"x": "float"}, "JSON Parse error: Invalid value. at offset: 14"),
        (
            '{"inputs": [1 2]}',
            {"x": "float"},
            "JSON Parse error: Missing a comma or ] after an array element. at offset: 14",
        ),
        (
            '{"inputs": 1 "a": 2}',
            {"x": "float"},
            "JSON Parse error: Missing a comma or } after an object member. at offset: 13",
        ),
        (
            '{"inputs": 1} 2',
            {"x": "float"},
            "JSON Parse error: The document root must not be followed by other values. at offset: 14",
        ),
    ],
)
def test_faults(body: str, types: dict[str, str], message: str) -> None:
    assert complaint(body, **types) == message


def test_examples() -> None:
    found = read_examples(
        {
            "examples": [{"f": [1.5, 2.5], "i": 3, "b": True, "s": ["x", {"b64": "AP8="}]}, {}],
            "context": {"c": 1.0},
        }
    )
    first, second = found.example_list_with_context.examples
    assert list(first.features.feature["f"].float_list.value) == [1.5, 2.5]
    assert list(first.features.feature["i"].int64_list.value) == [3]
    assert list(first.features.feature["b"].int64_list.value) == [1]
    assert list(first.features.feature["s"].bytes_list.value) == [b"x", b"\x00\xff"]
    assert not second.features.feature
    assert list(found.example_list_with_context.context.features.feature["c"].float_list.value) == [1.0]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"examples": 1},
            "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an list/array",
        ),
        ({"examples": []}, "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"examples": [{"a": [1, "b"]}]}, "Unexpected element type in feature: a expecting type: int64"),
        ({"examples": [{"a": None}]}, "Feature: a has element with unexpected JSON type: Null"),
        ({"examples": [{"a": [[1]]}]}, "Feature: a has element with unexpected JSON type: Array"),
        ({"examples": [{"a": 2**63}]}, "Feature: a has uint64 element. Only int64 is supported."),
        (
            {"examples": [{"a": 1e40}]},
            "Cannot convert JSON value: 1e+40 to float without loss of precision.",
        ),
    ],
)
def test_unsound_examples(document: dict[str, Any], message: str) -> None:
    with pytest.raises(StatusError) as caught:
        read_examples(document)
    assert caught.value.message == message
