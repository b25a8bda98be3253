"""Single JSON values -> values of a tensor: which fit which type, as json_tensor.cc decides."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from tensorflow.core.framework import types_pb2

from sightline_serving.model_server.json_values import decode_base64, quote, to_bytes, type_of
from sightline_serving.model_server.runtime import tf
from sightline_serving.model_server.sessions import type_name
from sightline_serving.model_server.status import StatusError, invalid_argument, unimplemented

_FLOAT_MAX: Final = float(np.finfo(np.float32).max)
# The largest integer that each type holds exactly, and the largest number that it holds at all.
_DECIMALS: Final = {
    types_pb2.DT_FLOAT: ("float", 2**24 - 1, _FLOAT_MAX),
    types_pb2.DT_DOUBLE: ("double", 2**53 - 1, math.inf),
}
_INT32: Final = (-(2**31), 2**31 - 1)
INTEGERS: Final = {
    types_pb2.DT_INT32: _INT32,
    types_pb2.DT_INT16: _INT32,  # narrowed afterwards, as a C++ cast narrows
    types_pb2.DT_INT8: _INT32,
    types_pb2.DT_UINT8: _INT32,
    types_pb2.DT_INT64: (-(2**63), 2**63 - 1),
    types_pb2.DT_UINT32: (0, 2**32 - 1),
    types_pb2.DT_UINT64: (0, 2**64 - 1),
}


def are_plain(values: list[Any], dtype: int) -> bool:
    """Whether all of a list's values are sound for the type as they are, by looks in C."""
    if not values:
        return False
    kinds = set(map(type, values))
    if dtype in _DECIMALS:
        _, exact, largest = _DECIMALS[dtype]
        if kinds == {float}:
            return bool(-largest <= min(values) and max(values) <= largest)
        return kinds == {int} and bool(-exact <= min(values) and max(values) <= exact)
    if dtype in INTEGERS:
        least, largest = INTEGERS[dtype]
        return kinds == {int} and bool(least <= min(values) and max(values) <= largest)
    return dtype == types_pb2.DT_BOOL and kinds == {bool}


def read_scalar(value: Any, dtype: int) -> Any:
    """One JSON value as what its tensor is made of: bytes for strings, else a number or a truth value.

    Raises:
        StatusError: it does not fit the type, in the official words.
    """
    if dtype == types_pb2.DT_STRING:
        if isinstance(value, dict):
            return decode_base64(value)
        if isinstance(value, str):
            return to_bytes(value)
        raise _type_error(value, dtype)
    if isinstance(value, dict):
        raise _type_error(value, dtype)
    if dtype == types_pb2.DT_BOOL:
        if not isinstance(value, bool):
            raise _type_error(value, dtype)
        return value
    if dtype not in _DECIMALS and dtype not in INTEGERS:
        raise unimplemented(f"Conversion of JSON Value: {quote(value)} to type: {tf.as_dtype(dtype).name}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _type_error(value, dtype)
    if dtype in _DECIMALS:
        return _decimal(value, dtype)
    least, largest = INTEGERS[dtype]
    if not isinstance(value, int) or not least <= value <= largest:
        raise _type_error(value, dtype)
    return value


def _decimal(value: float, dtype: int) -> float:
    target, exact, largest = _DECIMALS[dtype]
    is_64_bits = isinstance(value, int) and -(2**63) <= value < 2**64  # longer ones were parsed as decimals
    if not math.isfinite(value):
        return value
    if abs(value) > (exact if is_64_bits else largest):
        raise invalid_argument(
            f"Cannot convert JSON value: {quote(value)} to {target} without loss of precision."
        )
    return value


def _type_error(value: Any, dtype: int) -> StatusError:
    name = type_name(tf.as_dtype(dtype).as_numpy_dtype)
    return invalid_argument(
        f"JSON Value: {quote(value)} Type: {type_of(value)} is not of expected type: {name}"
    )
