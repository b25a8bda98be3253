"""JSON -> tensors: the row (`instances`) and columnar (`inputs`) forms of the Predict API.

The rules and the words are json_tensor.cc's. Lists of plain numbers take a short way through C; only what is
odd is looked at value by value.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from sightline_serving.model_server.json_scalars import INTEGERS, are_plain, read_scalar
from sightline_serving.model_server.json_values import format_error, is_base64, quote
from sightline_serving.model_server.runtime import tf
from sightline_serving.model_server.status import Code, StatusError, invalid_argument
from sightline_serving.model_server.tensors import Array

Infos = Mapping[str, meta_graph_pb2.TensorInfo]
Shape = tuple[int, ...]

INSTANCES: Final = "instances"
INPUTS: Final = "inputs"


class Layout(enum.Enum):
    """How a request is laid out, and so its answer."""

    ROW = INSTANCES
    COLUMNAR = INPUTS


@dataclass(slots=True)
class _Dense:
    """Values of one tensor, gathered in order."""

    shape: Shape
    values: list[Any]


def read_tensors(
    document: Mapping[str, Any], infos: Infos, signature: str
) -> tuple[dict[str, Array], Layout]:
    """The inputs of a request body, by alias, and the layout of the answer.

    Args:
        document: the parsed body.
        infos: the signature's inputs.
        signature: the name asked for, for a message.

    Raises:
        StatusError: INVALID_ARGUMENT, in the official words.
    """
    if not infos:
        raise invalid_argument(f"Failed to get input map for signature: {signature or 'DEFAULT'}")
    if INSTANCES in document and INPUTS in document:
        raise format_error(
            document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        )
    if INSTANCES in document:
        instances = document[INSTANCES]
        if not isinstance(instances, list):
            raise format_error(document, "Excepting 'instances' to be an list/array")
        if not instances:
            raise format_error(document, "No values in 'instances' array")
        return _read_instances(instances, infos), Layout.ROW
    if INPUTS in document:
        return _read_inputs(document[INPUTS], infos), Layout.COLUMNAR
    raise invalid_argument("Missing 'inputs' or 'instances' key")


# --- columnar -------------------------------------------------------------------------------------


def _read_inputs(value: Any, infos: Infos) -> dict[str, Array]:
    if not isinstance(value, dict) or is_base64(value):
        if len(infos) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as "
                "per tensorinfo_map"
            )
        value = {next(iter(infos)): value}
    tensors = {}
    for name in sorted(infos):
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        tensors[name] = _to_array(_read_dense(value[name], infos[name].dtype), infos[name].dtype)
    return tensors


# --- row ------------------------------------------------------------------------------------------


def _read_instances(instances: list[Any], infos: Infos) -> dict[str, Array]:
    if not isinstance(instances[0], dict) and len(infos) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as "
            "per tensorinfo_map"
        )
    named = _is_object(instances[0])
    only = next(iter(infos))
    gathered: dict[str, _Dense] = {}
    for index, element in enumerate(instances):
        if named:
            if not _is_object(element):
                raise invalid_argument(f"Expecting object but got list at item {index} of input list")
            for name, value in element.items():
                _add_instance(gathered, index, name, value, infos, key=name)
            if element.keys() != infos.keys():
                raise invalid_argument(
                    f"Failed to process element: {index} of 'instances' list. JSON object: {quote(element)} "
                    f"keys must be equal to: {','.join(sorted(infos))}"
                )
        elif _is_object(element):
            raise invalid_argument(f"Expecting value/list but got object at item {index} of input list")
        else:
            _add_instance(gathered, index, only, element, infos, key=None)
    return {
        name: _to_array(_Dense((len(instances), *dense.shape), dense.values), infos[name].dtype)
        for name, dense in gathered.items()
    }


def _add_instance(
    gathered: dict[str, _Dense], index: int, name: str, value: Any, infos: Infos, *, key: str | None
) -> None:
    try:
        if name not in infos:
            raise invalid_argument(f"JSON object: does not have named input: {name}")
        item = _read_dense(value, infos[name].dtype)
        first = gathered.get(name)
        if first is None:
            gathered[name] = item
            return
        expected = math.prod(first.shape)
        if len(item.values) != expected:
            raise invalid_argument(f"Expecting tensor size: {expected} but got: {len(item.values)}")
        if item.shape != first.shape:
            raise invalid_argument(
                f"Expecting shape {_brackets(first.shape)} but got: {_brackets(item.shape)}"
            )
        first.values += item.values
    except StatusError as fault:
        where = f"{index} key: {key}" if key is not None else f"{index}"
        raise StatusError(
            Code.INVALID_ARGUMENT, f"Failed to process element: {where} of 'instances' list. Error: {fault}"
        ) from None


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _brackets(shape: Shape) -> str:
    return f"[{','.join(map(str, shape))}]"


# --- values ---------------------------------------------------------------------------------------


def _read_dense(value: Any, dtype: int) -> _Dense:
    """A value or nested lists of equal lengths; the first element at each depth says the shape."""
    shape: list[int] = []
    probe = value
    while isinstance(probe, list):
        shape.append(len(probe))
        if not probe:
            break
        probe = probe[0]
    dense = _Dense(tuple(shape), [])
    _fill(dense, value, 0, dtype)
    return dense


def _fill(dense: _Dense, value: Any, level: int, dtype: int) -> None:
    rank = len(dense.shape)
    if not isinstance(value, list):
        if level != rank:
            raise invalid_argument(
                f"JSON Value: {quote(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected "
                f"at level: {rank}"
            )
        dense.values.append(read_scalar(value, dtype))
        return
    if level >= rank:
        raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != dense.shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: "
            f"{dense.shape[level]}"
        )
    if level == rank - 1 and are_plain(value, dtype):
        dense.values += value
        return
    for element in value:
        _fill(dense, element, level + 1, dtype)


def _to_array(dense: _Dense, dtype: int) -> Array:
    if dtype == types_pb2.DT_STRING:
        strings = np.empty(len(dense.values), np.object_)
        strings[:] = dense.values
        return strings.reshape(dense.shape)
    numpy_type = tf.as_dtype(dtype).as_numpy_dtype
    if dtype in INTEGERS and np.dtype(numpy_type).itemsize < np.dtype(np.int32).itemsize:
        return np.array(dense.values, np.int32).astype(numpy_type).reshape(dense.shape)
    return np.array(dense.values, numpy_type).reshape(dense.shape)
