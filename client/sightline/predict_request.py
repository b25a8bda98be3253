"""The bytes of a Predict request: what stays the same, made once, joined with the pixels.

Protobuf would copy the pixels into a tensor, the tensor into a request, and the request into bytes. Here
they are copied once. The order of fields on the wire is free, so everything but the pixels comes before
them and depends only on the model, the signature and the shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sightline.contract import ModelRef
from sightline.tensors import dtype_number, to_proto
from sightline.wire import serving_pb2 as wire

_REMEMBERED: Final = 1024  # prefixes of some 150 bytes: models x signatures x batch sizes
_LENGTH_DELIMITED: Final = 2  # wire type

# field numbers, held against the official descriptors by tests/client/test_wire.py
_INPUTS: Final = wire.PredictRequest.INPUTS_FIELD_NUMBER
_CONTENT: Final = wire.TensorProto.TENSOR_CONTENT_FIELD_NUMBER
_KEY, _VALUE = 1, 2  # of an entry of any map


def predict_request(
    ref: ModelRef, inputs: Mapping[str, NDArray[Any]], *, signature: str, outputs: Iterable[str] = ()
) -> bytes:
    """A serialised PredictRequest.

    Args:
        ref: the model.
        inputs: input name -> array; strings as arrays of `object`.
        signature: its name.
        outputs: names to ask for; none asks for all.
    """
    if len(inputs) == 1:
        ((name, array),) = inputs.items()
        if array.dtype.kind not in "OS" and array.size:
            shape = array.shape
            prefix = _prefix(ref, signature, tuple(outputs), name, array.dtype, shape)
            return b"".join((prefix, np.ascontiguousarray(array).data))
    request = _frame(ref, signature, outputs)
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(to_proto(array))
    return request.SerializeToString()


@lru_cache(_REMEMBERED)
def _prefix(  # noqa: PLR0917 — by position, as lru_cache is quicker so
    ref: ModelRef,
    signature: str,
    outputs: tuple[str, ...],
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
) -> bytes:
    """The request up to the first byte of the tensor's content."""
    size = prod(shape) * dtype.itemsize
    dims = wire.TensorShapeProto(dim=[wire.TensorShapeProto.Dim(size=side) for side in shape])
    tensor = wire.TensorProto(dtype=dtype_number(dtype), tensor_shape=dims).SerializeToString()
    tensor += _head(_CONTENT, size)
    key = _head(_KEY, len(name.encode())) + name.encode()
    value = _head(_VALUE, len(tensor) + size) + tensor
    entry = _head(_INPUTS, len(key) + len(value) + size) + key + value
    return _frame(ref, signature, outputs).SerializeToString() + entry


def _head(field: int, length: int) -> bytes:
    """Tag and length of a length-delimited field (protobuf's encoding guide)."""
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(length)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _frame(ref: ModelRef, signature: str, outputs: Iterable[str]) -> wire.PredictRequest:
    return wire.PredictRequest(model_spec=model_spec(ref, signature), output_filter=outputs)


def model_spec(ref: ModelRef, signature: str = "") -> wire.ModelSpec:
    """The message that names a model."""
    spec = wire.ModelSpec(name=ref.name, signature_name=signature)
    if ref.version is not None:
        spec.version.value = ref.version
    elif ref.label is not None:
        spec.version_label = ref.label
    return spec
