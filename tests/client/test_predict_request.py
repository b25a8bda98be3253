"""The request's bytes say what protobuf's own would say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from sightline.contract import DETECTION_OUTPUTS, ModelRef
from sightline.predict_request import predict_request
from sightline.tensors import to_array, to_proto
from sightline.wire import serving_pb2 as wire

REFS = [ModelRef("droids"), ModelRef("dröids", version=2**40), ModelRef("droids", label="stable")]
DTYPES = [np.dtype(name) for name in ("uint8", "float32", "int64", "float16", "bool")]


def by_protobuf(
    ref: ModelRef, inputs: dict[str, NDArray[Any]], signature: str, outputs: tuple[str, ...]
) -> wire.PredictRequest:
    spec = wire.ModelSpec(name=ref.name, signature_name=signature)
    if ref.version is not None:
        spec.version.value = ref.version
    if ref.label is not None:
        spec.version_label = ref.label
    tensors = {name: to_proto(array) for name, array in inputs.items()}
    return wire.PredictRequest(model_spec=spec, inputs=tensors, output_filter=outputs)


@given(
    array=st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=40))
    ),
    ref=st.sampled_from(REFS),
    name=st.sampled_from(["images", "ä" * 70, "x" * 200]),
    outputs=st.sampled_from([(), DETECTION_OUTPUTS]),
)
def test_one_input(array: NDArray[Any], ref: ModelRef, name: str, outputs: tuple[str, ...]) -> None:
    data = predict_request(ref, {name: array}, signature="serving_default", outputs=outputs)
    assert wire.PredictRequest.FromString(data) == by_protobuf(ref, {name: array}, "serving_default", outputs)


@pytest.mark.parametrize("size", [127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_lengths_on_both_sides_of_each_byte_of_a_varint(size: int) -> None:
    pixels = np.arange(size, dtype=np.uint32).astype(np.uint8)
    data = predict_request(REFS[0], {"images": pixels}, signature="s")
    assert wire.PredictRequest.FromString(data) == by_protobuf(REFS[0], {"images": pixels}, "s", ())


def test_several_inputs_and_strings() -> None:
    inputs = {"a": np.array([b"x", b""], object), "b": np.arange(6, dtype=np.float32).reshape(2, 3)}
    data = predict_request(REFS[0], inputs, signature="s")
    assert wire.PredictRequest.FromString(data) == by_protobuf(REFS[0], inputs, "s", ())
    one = predict_request(REFS[0], {"a": inputs["a"]}, signature="s")
    assert wire.PredictRequest.FromString(one).inputs["a"].string_val == [b"x", b""]


def test_a_view_that_is_not_contiguous_is_sent_in_its_own_order() -> None:
    picture = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)[:, ::-1]
    request = wire.PredictRequest.FromString(predict_request(REFS[0], {"images": picture}, signature="s"))
    assert np.array_equal(to_array(request.inputs["images"]), picture)


def test_an_array_that_no_tensor_holds_is_refused() -> None:
    with pytest.raises(TypeError, match="complex128"):
        predict_request(REFS[0], {"images": np.zeros(3, np.complex128)}, signature="s")
