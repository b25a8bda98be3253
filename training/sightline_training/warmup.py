"""Requests that TensorFlow Serving replays when it loads a version, so that nobody waits for the first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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


def write_warmup(path: Path, name: str, pixels: NDArray[np.uint8]) -> None:
    """Write a record for each signature.

    Args:
        path: of the TFRecord file.
        name: of the model.
        pixels: uint8 [n, H, W, 3] RGB at input size, n at least 1.
    """
    jpeg = np.array([encode_jpeg(pixels[0])], object)
    requests: list[tuple[str, Mapping[str, NDArray[np.generic]]]] = [
        (SIGNATURE_PIXELS, {INPUT_IMAGES: pixels[:1]}),
        (SIGNATURE_ENCODED, {INPUT_IMAGES: jpeg}),
        (SIGNATURE_CARD, {INPUT_QUERY: np.array([b""], object)}),
    ]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests:
            request = wire.PredictRequest(
                model_spec=wire.ModelSpec(name=name, signature_name=signature),
                inputs={key: to_proto(value) for key, value in inputs.items()},
            )
            log = wire.PredictionLog(predict_log=wire.PredictLog(request=request))
            writer.write(log.SerializeToString())
