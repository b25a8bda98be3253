"""numpy arrays <-> TensorProto."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from operator import attrgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ServingError
from sightline.wire import serving_pb2 as wire

# TensorFlow's number -> numpy's dtype and the typed field that may carry it (tensor.proto)
_KINDS: Final[dict[wire.DataType, tuple[np.dtype[Any], str]]] = {
    wire.DT_FLOAT: (np.dtype(np.float32), "float_val"),
    wire.DT_DOUBLE: (np.dtype(np.float64), "double_val"),
    wire.DT_INT32: (np.dtype(np.int32), "int_val"),
    wire.DT_UINT8: (np.dtype(np.uint8), "int_val"),
    wire.DT_INT16: (np.dtype(np.int16), "int_val"),
    wire.DT_INT8: (np.dtype(np.int8), "int_val"),
    wire.DT_UINT16: (np.dtype(np.uint16), "int_val"),
    wire.DT_INT64: (np.dtype(np.int64), "int64_val"),
    wire.DT_BOOL: (np.dtype(np.bool_), "bool_val"),
    wire.DT_HALF: (np.dtype(np.float16), "half_val"),
    wire.DT_UINT32: (np.dtype(np.uint32), "uint32_val"),
    wire.DT_UINT64: (np.dtype(np.uint64), "uint64_val"),
}
_SIZE: Final = attrgetter("size")  # of a dimension
_NUMBERS: Final = {dtype: number for number, (dtype, _) in _KINDS.items()}


def dtype_name(number: wire.DataType) -> str:
    """TensorFlow's number of a dtype as a name, such as `uint8` or `string`."""
    if number == wire.DT_STRING:
        return "string"
    kind = _KINDS.get(number)
    return kind[0].name if kind else f"dtype {number}"


def to_proto(array: NDArray[Any]) -> wire.TensorProto:
    """Make a message of an array; numbers as `tensor_content`, an array of `object` or bytes as strings."""
    shape = wire.TensorShapeProto(dim=[wire.TensorShapeProto.Dim(size=size) for size in array.shape])
    if array.dtype.kind in "OS":
        return wire.TensorProto(dtype=wire.DT_STRING, tensor_shape=shape, string_val=array.ravel().tolist())
    return wire.TensorProto(
        dtype=dtype_number(array.dtype), tensor_shape=shape, tensor_content=array.tobytes()
    )


def dtype_number(dtype: np.dtype[Any]) -> wire.DataType:
    """TensorFlow's number of a dtype of numbers.

    Raises:
        TypeError: TensorFlow has none.
    """
    number = _NUMBERS.get(dtype)
    if number is None:
        raise TypeError(f"no tensor holds numpy's {dtype}")
    return number


def to_array(proto: wire.TensorProto) -> NDArray[Any]:
    """Make an array of a message, whether it carries `tensor_content` or the typed field.

    A typed field that is shorter than the shape repeats its last value, as TensorFlow reads it. The
    array may be read-only.

    Raises:
        ServingError: a dtype that we do not read, or too few bytes for the shape.
    """
    shape = _shape(proto)
    kind = proto.dtype
    if kind == wire.DT_STRING:
        strings = np.empty(len(proto.string_val), object)
        strings[:] = proto.string_val
        return _filled(strings, shape)
    if kind not in _KINDS:
        raise ServingError(f"the answer holds a tensor of {dtype_name(kind)}, which is not read here")
    dtype, field = _KINDS[kind]
    if content := proto.tensor_content:
        wanted = prod(shape) * dtype.itemsize
        if len(content) != wanted:
            raise ServingError(f"a {dtype.name} tensor of {shape} wants {wanted} bytes, not {len(content)}")
        return np.frombuffer(content, dtype).reshape(shape)
    values = getattr(proto, field)
    if kind == wire.DT_HALF:  # carried as the bits of each number
        return _filled(np.array(values, np.uint16).view(np.float16), shape)
    return _filled(np.array(values, dtype), shape)


class Tensors(Mapping[str, NDArray[Any]]):
    """The tensors of an answer by name, each made an array as it is asked for.

    Args:
        protos: the messages, as protobuf has them.
    """

    def __init__(self, protos: Mapping[str, wire.TensorProto]) -> None:
        # Protobuf's own map would make what it is asked for and does not have.
        self._protos = {name: protos[name] for name in protos}

    def __getitem__(self, name: str) -> NDArray[Any]:
        """As `to_array`."""
        return to_array(self._protos[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._protos)

    def __len__(self) -> int:
        return len(self._protos)

    def __contains__(self, name: object) -> bool:
        return name in self._protos

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one, as its message tells it."""
        return _shape(self._protos[name])

    def floats(self, name: str, start: int, stop: int) -> list[float]:
        """Some of one's numbers, in the order of its elements, as plain ones.

        Most of a detector's answer is slots that it did not use, and no array need be made of those.

        Raises:
            ServingError: as `to_array`.
        """
        proto = self._protos[name]
        values = proto.float_val
        if len(values) >= stop and proto.dtype == wire.DT_FLOAT and not proto.tensor_content:
            return list(values[start:stop])
        found: list[float] = to_array(proto).ravel()[start:stop].tolist()
        return found


def _shape(proto: wire.TensorProto) -> tuple[int, ...]:
    return tuple(map(_SIZE, proto.tensor_shape.dim))


def _filled(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Values in their shape; too few repeat the last one, none at all are zeros (empty strings)."""
    wanted = prod(shape)
    if len(values) == wanted:
        return values.reshape(shape)
    if len(values) > wanted:
        return values[:wanted].reshape(shape)
    last = values[-1] if len(values) else (b"" if values.dtype == object else values.dtype.type(0))
    padded = np.full(wanted, last, values.dtype)
    padded[: len(values)] = values
    return padded.reshape(shape)
