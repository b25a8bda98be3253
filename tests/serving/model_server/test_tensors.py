"""TensorProto to numpy and back, against TensorFlow's own reading and writing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensorflow.core.framework import tensor_pb2, types_pb2

from sightline_serving.model_server.tensors import MalformedTensorError, serialize_tensor, to_array
from sightline_serving.model_server.wire_format import padded_varints, varint

NUMERIC = [
    np.float32, np.float64, np.float16, np.int8, np.int16, np.int32, np.int64,
    np.uint8, np.uint16, np.uint32, np.uint64, np.bool_, np.complex64, np.complex128,
]  # fmt: skip


def message(array: Any, *, as_content: bool = False) -> tensor_pb2.TensorProto:
    return tensor_pb2.TensorProto.FromString(b"".join(serialize_tensor(array, as_content=as_content)))


@given(st.data())
def test_answers_say_what_the_array_says(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(NUMERIC))
    array = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0)))
    for as_content in (False, True):
        written = message(array, as_content=as_content)
        assert bool(written.tensor_content) == (as_content and array.size > 0)
        np.testing.assert_array_equal(to_array(written), array)
        parsed = tf.io.parse_tensor(written.SerializeToString(), tf.as_dtype(dtype)).numpy()
        np.testing.assert_array_equal(parsed, array)


@pytest.mark.parametrize("values", [[b"a", b"", b"\xff" * 200], []])
def test_strings(values: list[bytes]) -> None:
    array = np.array(values, object)
    for as_content in (False, True):
        assert to_array(message(array, as_content=as_content)).tolist() == values


def test_bfloat16() -> None:
    array = np.array([1.5, -2.0], tf.bfloat16.as_numpy_dtype)
    assert to_array(message(array)).tolist() == [1.5, -2.0]


@given(hnp.arrays(np.int64, 5) | hnp.arrays(np.uint64, 5) | hnp.arrays(np.uint8, 300))
def test_padded_varints_are_varints(values: Any) -> None:
    field = "uint64_val" if values.dtype == np.uint64 else "int64_val"
    number = tensor_pb2.TensorProto.DESCRIPTOR.fields_by_name[field].number
    packed = bytes(padded_varints(values))
    parsed = tensor_pb2.TensorProto.FromString(varint(number << 3 | 2) + varint(len(packed)) + packed)
    assert list(getattr(parsed, field)) == values.tolist()


@pytest.mark.parametrize("last", [127, 128, 255])
def test_a_bright_pixel_after_many_dark_ones(last: int) -> None:
    pixels = np.zeros(100_000, np.uint8)
    pixels[-1] = last
    assert np.array_equal(message(pixels).int_val, pixels)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64, np.uint8, np.bool_, np.float64])
def test_reads_both_forms(dtype: Any) -> None:
    array = np.array([[1, 0, 3], [4, 5, 0]]).astype(dtype)
    as_content = tf.make_tensor_proto(array)
    np.testing.assert_array_equal(to_array(as_content), array)
    as_field = tf.make_tensor_proto(array.tolist(), array.dtype, array.shape)
    np.testing.assert_array_equal(to_array(as_field), array)


def test_content_is_viewed_and_not_copied() -> None:
    proto = tf.make_tensor_proto(np.zeros(1000, np.float32))
    assert not to_array(proto).flags.owndata


def test_narrow_integers_are_cast_as_in_c() -> None:
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_UINT8, int_val=[300, -1])
    proto.tensor_shape.dim.add(size=2)
    assert to_array(proto).tolist() == [44, 255]


def _shaped(*sizes: int, **fields: Any) -> tensor_pb2.TensorProto:
    proto = tensor_pb2.TensorProto(**{"dtype": types_pb2.DT_FLOAT, **fields})
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    "proto",
    [
        _shaped(2, dtype=types_pb2.DT_INVALID),
        _shaped(2, dtype=types_pb2.DT_RESOURCE),
        _shaped(-1, float_val=[1.0]),
        _shaped(2, tensor_content=b"12345"),
        _shaped(2**31, 2**31, 2**31),
        _shaped(2, dtype=types_pb2.DT_STRING, tensor_content=b"\x05\x01abc"),
        _shaped(2, dtype=types_pb2.DT_STRING, tensor_content=b"\x80"),
    ],
)
def test_malformed(proto: tensor_pb2.TensorProto) -> None:
    with pytest.raises(MalformedTensorError):
        to_array(proto)


def test_an_unknown_rank_is_malformed() -> None:
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT)
    proto.tensor_shape.unknown_rank = True
    with pytest.raises(MalformedTensorError):
        to_array(proto)
