"""Requests that TensorFlow Serving replays when it loads a version, so that nobody waits for the first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import tensorflow as tf
from google.protobuf.message import Message
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

# prediction_log.proto: PredictionLog.predict_log = 6, PredictLog.request = 1. Two tags of nested messages
# are written out here rather than imported from tensorflow-serving-api, which costs 583 MB of memory.
_PREDICT_LOG: Final = 6
_REQUEST: Final = 1
_LENGTH_DELIMITED: Final = 2  # protobuf's wire type of messages


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
            writer.write(_nested(_PREDICT_LOG, _nested(_REQUEST, _bytes(request))))


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()


def _nested(field: int, payload: bytes) -> bytes:
    """A message whose one field is the message in `payload`."""
    return bytes([field << 3 | _LENGTH_DELIMITED]) + _varint(len(payload)) + payload


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)
