"""TensorProto -> numpy, as `Tensor::FromProto` reads it; numpy -> TensorProto bytes, as the server writes it.

Answers are written as bytes, not as messages: a Python message takes a number at a time, while most typed
fields are laid out on the wire just as numpy holds them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from tensorflow.core.framework import tensor_pb2, types_pb2

from sightline_serving.model_server.runtime import tf
from sightline_serving.model_server.status import invalid_argument
from sightline_serving.model_server.wire_format import Buffer, length_delimited, padded_varints, varint

Array = npt.NDArray[Any]

MAX_ELEMENTS: Final = 2**40  # as TensorFlow bounds a shape, far over any memory

_INT: Final = "int_val"
# The typed field of each type, where FromProto looks for its numbers.
_FIELDS: Final[dict[int, str]] = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT8: _INT,
    types_pb2.DT_INT16: _INT,
    types_pb2.DT_INT32: _INT,
    types_pb2.DT_UINT8: _INT,
    types_pb2.DT_UINT16: _INT,
    types_pb2.DT_QINT8: _INT,
    types_pb2.DT_QUINT8: _INT,
    types_pb2.DT_QINT16: _INT,
    types_pb2.DT_QUINT16: _INT,
    types_pb2.DT_QINT32: _INT,
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_HALF: "half_val",
    types_pb2.DT_BFLOAT16: "half_val",
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_COMPLEX64: "scomplex_val",
    types_pb2.DT_COMPLEX128: "dcomplex_val",
}


class MalformedTensorError(ValueError):
    """A TensorProto that `Tensor::FromProto` refuses."""


def to_array(proto: tensor_pb2.TensorProto) -> Array:
    """The tensor as numpy, strings as objects of bytes. Numeric `tensor_content` is viewed, not copied.

    A short typed field repeats its last value, a long one is cut, an empty one means zeros: all as
    `Tensor::FromProto` has it.

    Raises:
        MalformedTensorError: the type is unknown, the shape is not fixed, or the content has another size.
    """
    if proto.dtype not in _FIELDS:
        raise MalformedTensorError(f"no tensor of type {proto.dtype}")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise MalformedTensorError(f"the shape {shape} is not fixed")
    count = 1
    for size in shape:
        count *= size
    if count > MAX_ELEMENTS:
        raise MalformedTensorError(f"{count} elements are too many")
    if proto.dtype == types_pb2.DT_STRING:
        return _strings(proto, count).reshape(shape)
    dtype = _numpy_type(proto.dtype)
    content = proto.tensor_content
    if content:
        if len(content) != count * dtype.itemsize:
            raise MalformedTensorError(f"{len(content)} bytes for {count} elements of {dtype}")
        return np.frombuffer(content, dtype).reshape(shape)
    return _repeat_last(_numbers(proto, dtype), count, dtype).reshape(shape)


@cache
def _numpy_type(dtype: int) -> np.dtype[Any]:
    found: np.dtype[Any] = np.dtype(tf.as_dtype(dtype).as_numpy_dtype)
    return found


def _numbers(proto: tensor_pb2.TensorProto, dtype: np.dtype[Any]) -> Array:
    name = _FIELDS[proto.dtype]
    values = getattr(proto, name)
    if name == "half_val":
        return np.asarray(values, np.int32).astype(np.uint16).view(dtype)
    if name in ("scomplex_val", "dcomplex_val"):
        part = np.float32 if name == "scomplex_val" else np.float64
        return np.asarray(values[: len(values) // 2 * 2], part).view(dtype)
    if name == _INT:
        return np.asarray(values, np.int32).astype(dtype)  # narrowed as a C++ cast narrows
    return np.asarray(values, dtype)


def _repeat_last(values: Array, count: int, dtype: np.dtype[Any]) -> Array:
    if len(values) >= count:
        return values[:count]
    filled = np.full(count, values[-1], dtype) if len(values) else np.zeros(count, dtype)
    filled[: len(values)] = values
    return filled


def _strings(proto: tensor_pb2.TensorProto, count: int) -> Array:
    given = _decode_strings(proto.tensor_content, count) if proto.tensor_content else list(proto.string_val)
    values = np.empty(count, np.object_)
    values[:] = given[-1] if given else b""
    kept = given[:count]
    for index, text in enumerate(kept):  # a slice would let numpy guess at nested sequences
        values[index] = text
    return values


def _decode_strings(content: bytes, count: int) -> list[bytes]:
    """`tensor_content` of strings: all lengths as varints, then all bytes."""
    lengths: list[int] = []
    position = 0
    for _ in range(count):
        length = shift = 0
        while True:
            if position >= len(content) or shift > 28:
                raise MalformedTensorError("the string lengths are cut short")
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise MalformedTensorError("the strings do not fill the content")
    strings = []
    for length in lengths:
        strings.append(content[position : position + length])
        position += length
    return strings


# --- numpy -> bytes -------------------------------------------------------------------------------

_Encoder = Callable[[Array], Buffer]


def _raw(array: Array) -> Buffer:
    return array.data if array.ndim else array.tobytes()


def _halves(array: Array) -> Buffer:
    return padded_varints(array.view(np.uint16))


def _encoders() -> dict[int, tuple[int, _Encoder]]:
    """For each type: the field's number in TensorProto, and what lays out its packed numbers."""
    numbers = tensor_pb2.TensorProto.DESCRIPTOR.fields_by_name
    by_field: dict[str, _Encoder] = {
        "float_val": _raw,
        "double_val": _raw,
        "bool_val": _raw,
        "scomplex_val": _raw,
        "dcomplex_val": _raw,
        "half_val": _halves,
    }
    return {
        dtype: (numbers[name].number, by_field.get(name, padded_varints))
        for dtype, name in _FIELDS.items()
        if name != "string_val"
    }


_ENCODERS: Final = _encoders()
_CONTENT_FIELD: Final = tensor_pb2.TensorProto.DESCRIPTOR.fields_by_name["tensor_content"].number


def serialize_tensor(array: Array, *, as_content: bool = False) -> list[Buffer]:
    """A serialised TensorProto, in parts: numbers in the typed field, or in `tensor_content` if asked.

    Raises:
        StatusError: the type has no field in a TensorProto.
    """
    if array.dtype.kind in "OSU":
        return _serialize_strings(array, as_content=as_content)
    dtype = _tensorflow_type(array.dtype)
    if dtype not in _ENCODERS:
        raise invalid_argument(f"Cannot answer with a tensor of type {types_pb2.DataType.Name(dtype)}")
    header = _header(dtype, array.shape)
    if not array.size:
        return [header]
    number, encode = (_CONTENT_FIELD, _raw) if as_content else _ENCODERS[dtype]
    # Two serialised parts of a message, one after the other, are the whole message.
    return [header, *length_delimited(number, [encode(np.ascontiguousarray(array))])]


@cache
def _tensorflow_type(dtype: np.dtype[Any]) -> int:
    return int(tf.as_dtype(dtype).as_datatype_enum)


@lru_cache(maxsize=1024)
def _header(dtype: int, shape: tuple[int, ...]) -> bytes:
    """A serialised TensorProto without numbers."""
    proto = tensor_pb2.TensorProto(dtype=dtype)
    proto.tensor_shape.SetInParent()
    for size in shape:
        proto.tensor_shape.dim.add().size = size
    return bytes(proto.SerializeToString())


def _serialize_strings(array: Array, *, as_content: bool) -> list[Buffer]:
    header = _header(types_pb2.DT_STRING, array.shape)
    texts = array.ravel().tolist()
    if as_content:
        content = b"".join([*(varint(len(text)) for text in texts), *texts])
        return [header, tensor_pb2.TensorProto(tensor_content=content).SerializeToString()]
    return [header, tensor_pb2.TensorProto(string_val=texts).SerializeToString()]
