"""Requests that TensorFlow Serving replays when it loads a version, so that nobody waits for the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from sightline.contract import (
    INPUT_IMAGES,
    INPUT_QUERY,
    SIGNATURE_CARD,
    SIGNATURE_ENCODED,
    SIGNATURE_PIXELS,
)
from sightline.images import encode_jpeg
from sightline.tensors import to_proto
from sightline.wire import serving_pb2 as wire

_GREY: Final = 128


def write_warmup(
    path: Path, name: str, pixels: NDArray[np.uint8], *, batch_sizes: Sequence[int] = ()
) -> None:
    """Write a record for each signature.

    Args:
        path: of the TFRecord file.
        name: of the model.
        pixels: uint8 [n, H, W, 3] RGB at input size, n at least 1.
        batch_sizes: each gets one more record, of so many pictures' pixels: a GPU tunes, and XLA compiles,
            for each size that it meets.
    """
    jpeg = np.array([encode_jpeg(pixels[0])], object)
    requests: list[tuple[str, Mapping[str, wire.TensorProto]]] = [
        (SIGNATURE_PIXELS, {INPUT_IMAGES: to_proto(pixels[:1])}),
        *((SIGNATURE_PIXELS, {INPUT_IMAGES: _grey(size, pixels.shape[1:])}) for size in batch_sizes),
        (SIGNATURE_ENCODED, {INPUT_IMAGES: to_proto(jpeg)}),
        (SIGNATURE_CARD, {INPUT_QUERY: to_proto(np.array([b""], object))}),
    ]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests:
            request = wire.PredictRequest(
                model_spec=wire.ModelSpec(name=name, signature_name=signature),
                inputs=inputs,
            )
            log = wire.PredictionLog(predict_log=wire.PredictLog(request=request))
            writer.write(log.SerializeToString())


def _grey(size: int, shape: Sequence[int]) -> wire.TensorProto:
    """Uint8 [size, *shape] as one number: readers repeat the last of a short list (tensor.proto)."""
    sides = wire.TensorShapeProto(dim=[wire.TensorShapeProto.Dim(size=side) for side in (size, *shape)])
    return wire.TensorProto(dtype=wire.DT_UINT8, tensor_shape=sides, int_val=[_GREY])
