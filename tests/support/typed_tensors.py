"""Arrays as TensorFlow Serving answers them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.wire import serving_pb2 as wire


def typed(array: NDArray[Any]) -> wire.TensorProto:
    """As Serving answers: numbers in the typed field, never in `tensor_content`."""
    shape = wire.TensorShapeProto(dim=[wire.TensorShapeProto.Dim(size=size) for size in array.shape])
    if array.dtype == object:
        return wire.TensorProto(dtype=wire.DT_STRING, tensor_shape=shape, string_val=array.ravel().tolist())
    if array.dtype == np.float32:
        return wire.TensorProto(dtype=wire.DT_FLOAT, tensor_shape=shape, float_val=array.ravel().tolist())
    if array.dtype == np.int64:
        return wire.TensorProto(dtype=wire.DT_INT64, tensor_shape=shape, int64_val=array.ravel().tolist())
    assert array.dtype == np.int32, array.dtype
    return wire.TensorProto(dtype=wire.DT_INT32, tensor_shape=shape, int_val=array.ravel().tolist())
