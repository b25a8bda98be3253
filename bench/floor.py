"""The floor: the parts of one request that nobody can leave out, each measured alone in its own process.

Reduced JPEG decode, resize to the model's input, one gRPC call, JSON out: the same libraries with nothing
around them. The process stays up between rounds, so that rounds can alternate with the servers'.

    python -m bench.floor HOST:PORT      # a picture's path and a number of turns on a line -> JSON on a line
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import grpc
import numpy as np
import orjson
from numpy.typing import NDArray

from bench.null_serving import LABELS, MODEL, SIDE, fixed_detections
from sightline import allocator
from sightline.contract import DETECTION_OUTPUTS, INPUT_IMAGES, OUTPUT_BOXES, SIGNATURE_PIXELS
from sightline.wire import serving_pb2 as wire

PARTS: Final = ("decode", "resize", "grpc", "json")
_TO_RGB: Final = cv2.IMREAD_COLOR_RGB - cv2.IMREAD_COLOR_BGR
_REDUCED: Final = (
    (8, cv2.IMREAD_REDUCED_COLOR_8 + _TO_RGB),
    (4, cv2.IMREAD_REDUCED_COLOR_4 + _TO_RGB),
    (2, cv2.IMREAD_REDUCED_COLOR_2 + _TO_RGB),
)
_DETECTIONS: Final = 3


class Floor:
    """The parts, on one picture."""

    def __init__(self, data: bytes, call: Callable[[bytes], bytes]) -> None:
        self._data = np.frombuffer(data, np.uint8)
        whole: Any = cv2.imdecode(self._data, cv2.IMREAD_COLOR_RGB)
        sides = min(whole.shape[:2])
        fitting = (flag for factor, flag in _REDUCED if sides >= factor * SIDE)
        self._flag = next(fitting, cv2.IMREAD_COLOR_RGB)
        self._decoded: Any = cv2.imdecode(self._data, self._flag)
        self._request = request_bytes(self.resize())
        self._call = call
        self._answer = answer(whole.shape[1], whole.shape[0])

    def decode(self) -> Any:
        return cv2.imdecode(self._data, self._flag)

    def resize(self) -> NDArray[np.uint8]:
        small = cv2.resize(self._decoded, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        return np.asarray(small, np.uint8)

    def grpc(self) -> bytes:
        return self._call(self._request)

    def json(self) -> bytes:
        return orjson.dumps(self._answer)

    def measure(self, turns: int) -> dict[str, float]:
        """CPU milliseconds of each part, all threads of this process included."""
        return {name: _cpu_ms(getattr(self, name), turns) for name in PARTS}


def request_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """A Predict request, made beforehand: the call alone is measured."""
    shape = wire.TensorShapeProto(dim=[wire.TensorShapeProto.Dim(size=size) for size in (1, *pixels.shape)])
    tensor = wire.TensorProto(dtype=wire.DT_UINT8, tensor_shape=shape, tensor_content=pixels.tobytes())
    spec = wire.ModelSpec(name=MODEL, signature_name=SIGNATURE_PIXELS)
    request = wire.PredictRequest(
        model_spec=spec, inputs={INPUT_IMAGES: tensor}, output_filter=DETECTION_OUTPUTS
    )
    return request.SerializeToString()


def answer(width: int, height: int) -> dict[str, Any]:
    """What the gateway answers, as plain values."""
    boxes = fixed_detections(_DETECTIONS)[OUTPUT_BOXES][:_DETECTIONS].astype(float).round(6).tolist()
    return {
        "id": "0" * 32,
        "model": {"name": MODEL, "version": 1},
        "image": {"width": width, "height": height},
        "detections": [
            {
                "label": LABELS[1 + i % 2],
                "class_id": 1 + i % 2,
                "score": 0.99,
                "box": {"xmin": box[1], "ymin": box[0], "xmax": box[3], "ymax": box[2]},
                "box_normalized": box,
            }
            for i, box in enumerate(boxes)
        ],
        "timing_ms": {"decode": 1.234, "predict": 1.234, "total": 1.234},
    }


def _cpu_ms(part: Callable[[], Any], turns: int) -> float:
    begun = time.process_time()
    for _ in range(turns):
        part()
    return (time.process_time() - begun) * 1000 / turns


def main() -> None:
    """Answer requests to measure, a line each, until the input ends."""
    cv2.setNumThreads(1)
    allocator.keep_large_blocks()
    options = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
    with grpc.insecure_channel(sys.argv[1], options=options) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict"
        )
        for line in sys.stdin:
            asked = json.loads(line)
            floor = Floor(Path(asked["picture"]).read_bytes(), call)
            floor.measure(min(asked["turns"], 20))  # the first turns fault in memory and connect
            print(json.dumps(floor.measure(asked["turns"])), flush=True)


if __name__ == "__main__":
    main()
