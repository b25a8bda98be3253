from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sightline.errors import ServingError
from sightline.tensors import _KINDS, Tensors, to_array, to_proto
from sightline.wire import serving_pb2 as wire

DTYPES = [dtype for dtype, _ in _KINDS.values()]


@given(st.sampled_from(DTYPES).flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0))))
def test_an_array_survives_the_way(array: np.ndarray) -> None:
    back = to_array(wire.TensorProto.FromString(to_proto(array).SerializeToString()))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@given(st.sampled_from(DTYPES).flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_side=1))))
def test_tensorflow_reads_ours_and_we_read_its_typed_fields(array: np.ndarray) -> None:
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    official = tensor_pb2.TensorProto.FromString(to_proto(array).SerializeToString())
    np.testing.assert_array_equal(tf.make_ndarray(official), array)

    number, field = next((n, f) for n, (d, f) in _KINDS.items() if d == array.dtype)
    flat = array.ravel()
    values = flat.view(np.uint16).tolist() if number == wire.DT_HALF else flat.tolist()
    typed = wire.TensorProto(dtype=number, tensor_shape=to_proto(array).tensor_shape, **{field: values})
    np.testing.assert_array_equal(to_array(typed), array)


def test_strings_keep_their_bytes() -> None:
    array = np.array([[b"\xff\x00", b""], [b"a", b"b"]], object)
    back = to_array(to_proto(array))
    assert back.shape == (2, 2)
    assert back[0, 0] == b"\xff\x00"


@pytest.mark.parametrize(
    ("values", "expected"),
    [([7], [7, 7, 7]), ([1, 2], [1, 2, 2]), ([], [0, 0, 0]), ([1, 2, 3, 4], [1, 2, 3])],
)
def test_a_typed_field_of_another_length_is_read_as_tensorflow_reads_it(
    values: list[int], expected: list[int]
) -> None:
    shape = wire.TensorShapeProto(dim=[wire.TensorShapeProto.Dim(size=3)])
    assert (
        to_array(wire.TensorProto(dtype=wire.DT_INT32, tensor_shape=shape, int_val=values)).tolist()
        == expected
    )


@pytest.mark.parametrize(
    "carried",
    [
        wire.TensorProto(dtype=wire.DT_FLOAT, float_val=[0.5, 1.5, 2.5, 3.5, 4.5, 5.5]),
        wire.TensorProto(dtype=wire.DT_FLOAT, float_val=[0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5]),
        wire.TensorProto(dtype=wire.DT_FLOAT, float_val=[0.5, 1.5]),
        wire.TensorProto(dtype=wire.DT_FLOAT),
        wire.TensorProto(dtype=wire.DT_FLOAT, tensor_content=np.arange(6, dtype="<f4").tobytes()),
        wire.TensorProto(
            dtype=wire.DT_FLOAT, tensor_content=np.arange(6, dtype="<f4").tobytes(), float_val=[7] * 6
        ),
        wire.TensorProto(dtype=wire.DT_INT64, int64_val=[1, 2, 3, 4, 5, 6]),
        wire.TensorProto(dtype=wire.DT_DOUBLE, double_val=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
    ],
)
def test_some_numbers_of_a_tensor_are_those_of_its_array(carried: wire.TensorProto) -> None:
    carried.tensor_shape.CopyFrom(to_proto(np.zeros((2, 3))).tensor_shape)
    tensors = Tensors({"it": carried})
    assert tensors.shape("it") == (2, 3)
    for start, stop in ((0, 6), (0, 2), (3, 5), (4, 4)):
        assert tensors.floats("it", start, stop) == tensors["it"].ravel()[start:stop].tolist()


def test_a_tensor_that_is_not_there_is_not_made_up() -> None:
    response = wire.PredictResponse()
    tensors = Tensors(response.outputs)
    for ask in (lambda: tensors["it"], lambda: tensors.shape("it"), lambda: tensors.floats("it", 0, 1)):
        with pytest.raises(KeyError):
            ask()
    assert (len(tensors), list(tensors), "it" in tensors) == (0, [], False)


def test_content_of_the_wrong_length_is_named() -> None:
    shape = wire.TensorShapeProto(dim=[wire.TensorShapeProto.Dim(size=3)])
    with pytest.raises(ServingError, match=r"float32 tensor of \(3,\) wants 12 bytes, not 4"):
        to_array(wire.TensorProto(dtype=wire.DT_FLOAT, tensor_shape=shape, tensor_content=b"1234"))


def test_a_dtype_that_is_not_read_is_named() -> None:
    with pytest.raises(ServingError, match="dtype 8"):
        to_array(wire.TensorProto(dtype=wire.DT_COMPLEX64))
    with pytest.raises(TypeError, match="complex64"):
        to_proto(np.zeros(1, np.complex64))
