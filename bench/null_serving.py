"""A Serving without a model: real gRPC on a real port, fixed detections at once, in a process of its own.

What the gateway costs can so be told from what a model costs. Predict looks at the request only as far
as the answer depends on it, and the answers are made once.

    python -m bench.null_serving --detections 3 --models 1     # prints its port
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from concurrent import futures
from functools import lru_cache
from typing import Any, Final

import grpc
import numpy as np
from google.protobuf.any_pb2 import Any as AnyMessage

from sightline.allocator import keep_large_blocks
from sightline.contract import (
    DETECTION_OUTPUTS,
    INPUT_IMAGES,
    INPUT_QUERY,
    OUTPUT_BOXES,
    OUTPUT_CARD,
    OUTPUT_CLASSES,
    OUTPUT_COUNT,
    OUTPUT_SCORES,
    SIGNATURE_CARD,
    SIGNATURE_PIXELS,
    ModelCard,
)
from sightline.wire import serving_pb2 as wire

SIDE: Final = 300  # pixels of the square input, the detector's own
SLOTS: Final = 100  # boxes per picture in the answer's tensors, the contract's usual number
LABELS: Final = {1: "BB-8", 2: "R2-D2"}
MODEL: Final = "null"
_HEAD: Final = 256  # bytes of a request that surely hold its names, and surely no pixels of a picture


def fixed_detections(count: int) -> dict[str, np.ndarray]:
    """One picture's answer: `count` boxes in a grid, scores falling from 0.99 and above any threshold."""
    boxes, scores = np.zeros((SLOTS, 4), np.float32), np.zeros(SLOTS, np.float32)
    classes = np.zeros(SLOTS, np.float32)
    for i in range(count):
        top, left = (i // 10) / 10, (i % 10) / 10
        boxes[i] = top, left, top + 0.09, left + 0.08
        scores[i], classes[i] = 0.99 - i * 0.004, 1 + i % 2
    return {
        OUTPUT_BOXES: boxes,
        OUTPUT_SCORES: scores,
        OUTPUT_CLASSES: classes,
        OUTPUT_COUNT: np.array(count, np.float32),
    }


class NullAnswers:
    """The answers' bytes, made once for each number of pictures in a request."""

    def __init__(self, detections: int) -> None:
        self._one = fixed_detections(detections)
        self._card = json.dumps(ModelCard(MODEL, LABELS, SIDE, SIDE, {1: 0.5, 2: 0.5}).to_dict()).encode()
        self.predict = lru_cache(maxsize=64)(self._predict)

    def _predict(self, pictures: int) -> bytes:
        tensors = {
            name: _floats(np.broadcast_to(array, (pictures, *np.shape(array))))
            for name, array in self._one.items()
        }
        return _answer(tensors)

    def card(self) -> bytes:
        shape = wire.TensorShapeProto(dim=[wire.TensorShapeProto.Dim(size=1)])
        tensor = wire.TensorProto(dtype=wire.DT_STRING, tensor_shape=shape, string_val=[self._card])
        return _answer({OUTPUT_CARD: tensor})

    @staticmethod
    def metadata() -> bytes:
        signatures = wire.SignatureDefMap()
        pixels = signatures.signature_def[SIGNATURE_PIXELS]
        pixels.inputs[INPUT_IMAGES].dtype = wire.DT_UINT8
        for side in (-1, SIDE, SIDE, 3):
            pixels.inputs[INPUT_IMAGES].tensor_shape.dim.add(size=side)
        for name in DETECTION_OUTPUTS:
            pixels.outputs[name].dtype = wire.DT_FLOAT
        card = signatures.signature_def[SIGNATURE_CARD]
        card.inputs[INPUT_QUERY].dtype = wire.DT_STRING
        card.inputs[INPUT_QUERY].tensor_shape.dim.add(size=-1)
        card.outputs[OUTPUT_CARD].dtype = wire.DT_STRING
        packed = AnyMessage(
            type_url="type.googleapis.com/tensorflow.serving.SignatureDefMap",
            value=signatures.SerializeToString(),
        )
        spec = wire.ModelSpec(name=MODEL)
        spec.version.value = 1
        answer = wire.GetModelMetadataResponse(model_spec=spec, metadata={"signature_def": packed})
        return answer.SerializeToString()

    @staticmethod
    def status() -> bytes:
        state = wire.ModelVersionStatus(
            version=1, state=wire.ModelVersionStatus.AVAILABLE, status=wire.StatusProto()
        )
        return wire.GetModelStatusResponse(model_version_status=[state]).SerializeToString()


def _floats(array: np.ndarray) -> wire.TensorProto:
    """In the typed field, as a real Serving answers."""
    shape = wire.TensorShapeProto(dim=[wire.TensorShapeProto.Dim(size=size) for size in array.shape])
    return wire.TensorProto(dtype=wire.DT_FLOAT, tensor_shape=shape, float_val=array.ravel().tolist())


def _answer(outputs: dict[str, wire.TensorProto]) -> bytes:
    spec = wire.ModelSpec(name=MODEL, signature_name=SIGNATURE_PIXELS)
    spec.version.value = 1
    return wire.PredictResponse(outputs=outputs, model_spec=spec).SerializeToString()


def pictures_in(request: bytes) -> int:
    """How many pictures a Predict request holds, by its length: pixels are all that is long in it."""
    return max(1, len(request) // (SIDE * SIDE * 3))


def handlers(detections: int) -> tuple[grpc.GenericRpcHandler, ...]:
    """The two services."""
    answers = NullAnswers(detections)
    card, metadata, status = answers.card(), answers.metadata(), answers.status()

    def predict(request: bytes, context: Any) -> bytes:
        if len(request) < SIDE and SIGNATURE_CARD.encode() in request[:_HEAD]:
            return card
        return answers.predict(pictures_in(request))

    # Without serialisers gRPC hands over and takes bytes as they are.
    prediction: dict[str, Any] = {
        "Predict": grpc.unary_unary_rpc_method_handler(predict),
        "GetModelMetadata": grpc.unary_unary_rpc_method_handler(lambda request, context: metadata),
    }
    state: dict[str, Any] = {
        "GetModelStatus": grpc.unary_unary_rpc_method_handler(lambda request, context: status)
    }
    return (
        grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", prediction),
        grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", state),
    )


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m bench.null_serving")
    parser.add_argument("--detections", type=int, default=3, help="boxes found in each picture")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    arguments = parser.parse_args()
    keep_large_blocks()  # requests of a megabyte
    server = grpc.server(
        futures.ThreadPoolExecutor(16),
        options=(("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)),
    )
    server.add_generic_rpc_handlers(handlers(arguments.detections))
    port = server.add_insecure_port(f"127.0.0.1:{arguments.port}")
    server.start()
    print(port, flush=True)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    server.stop(1).wait()


if __name__ == "__main__":
    main()
