"""A small model server on a real gRPC port, made of the wire messages, whose behaviour a test sets.

It answers as TensorFlow Serving was measured to answer (values in the typed fields, its words for its
errors), and instead of a network it has a function from pixels to boxes. It needs no TensorFlow.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import numpy as np
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from numpy.typing import NDArray
from support.typed_tensors import typed

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
from sightline.tensors import to_array
from sightline.wire import serving_pb2 as wire

Arrays = Mapping[str, NDArray[Any]]
SLOTS = 4  # boxes per picture that the fake detector has room for
LABELS = {1: "BB-8", 2: "R2-D2"}
SIDE = 64  # pixels of the fake detector's square input
BRIGHT = 128  # a picture whose mean is above it holds both droids, a darker one only R2-D2


def droids(inputs: Arrays) -> dict[str, NDArray[Any]]:
    """R2-D2 in every picture, BB-8 as well in bright ones; boxes that differ on all four sides."""
    pictures = inputs[INPUT_IMAGES]
    if pictures.dtype != np.uint8:
        raise Refusal(
            grpc.StatusCode.INVALID_ARGUMENT, f"Expects arg[0] to be uint8 but {pictures.dtype} is provided"
        )
    count = len(pictures)
    boxes, scores = np.zeros((count, SLOTS, 4), np.float32), np.zeros((count, SLOTS), np.float32)
    classes, used = np.zeros((count, SLOTS), np.float32), np.ones(count, np.float32)
    boxes[:, 0], scores[:, 0], classes[:, 0] = (0.1, 0.2, 0.6, 0.5), 0.9, 2
    bright = pictures.reshape(count, -1).mean(1) > BRIGHT
    boxes[bright, 1], scores[bright, 1], classes[bright, 1] = (0.3, 0.55, 0.9, 0.95), 0.6, 1
    used[bright] = 2
    return {OUTPUT_BOXES: boxes, OUTPUT_SCORES: scores, OUTPUT_CLASSES: classes, OUTPUT_COUNT: used}


class Refusal(Exception):  # noqa: N818  # it is what the server answers, not a fault of the fake
    """A gRPC status that the server is to answer with."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details


@dataclass
class FakeVersion:
    """One version of a model: what it says of itself, and what it answers."""

    signatures: Mapping[str, tuple[Mapping[str, tuple[int, tuple[int, ...]]], tuple[str, ...]]] = field(
        default_factory=lambda: {
            SIGNATURE_PIXELS: ({INPUT_IMAGES: (wire.DT_UINT8, (-1, SIDE, SIDE, 3))}, DETECTION_OUTPUTS),
            SIGNATURE_CARD: ({INPUT_QUERY: (wire.DT_STRING, (-1,))}, (OUTPUT_CARD,)),
        }
    )  # name -> (input -> (dtype, shape), outputs)
    answer: Callable[[Arrays], Arrays] = droids
    card: ModelCard | None = field(
        default_factory=lambda: ModelCard("droids", LABELS, SIDE, SIDE, {1: 0.5, 2: 0.5})
    )
    state: str = "AVAILABLE"
    labels: tuple[str, ...] = ()  # version labels, such as "stable"


def version_of_side(side: int) -> FakeVersion:
    """The fake detector with another input: from 296 a picture is more than the 256 KiB that gRPC retries."""
    usual = FakeVersion()
    assert usual.card is not None
    outputs = usual.signatures[SIGNATURE_PIXELS][1]
    shape = {INPUT_IMAGES: (wire.DT_UINT8, (-1, side, side, 3))}
    return replace(
        usual,
        signatures={**usual.signatures, SIGNATURE_PIXELS: (shape, outputs)},
        card=replace(usual.card, input_height=side, input_width=side),
    )


@dataclass
class Behaviour:
    """What the server does; a test may change it while it runs."""

    delay: float = 0.0  # seconds before each Predict is answered
    refusal: Refusal | None = None  # answered to every call while it is set
    refusals: int = 0  # how many more calls to refuse before answering again, and as what
    refused_as: grpc.StatusCode = grpc.StatusCode.RESOURCE_EXHAUSTED
    batch_limit: int | None = None  # pictures in one request, as Serving's max_batch_size


class FakeServing:
    """The server. `models` maps a name to its versions; both may change while it runs."""

    def __init__(
        self,
        models: dict[str, dict[int, FakeVersion]] | None = None,
        *,
        port: int = 0,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self.models = {"droids": {1: FakeVersion()}} if models is None else models
        self.behaviour = Behaviour()
        self.predicts = 0  # Predict calls of the pixel signatures that came in
        self.batches: list[int] = []  # pictures in each of them
        self.deadlines: list[float] = []  # seconds that each left us
        self.metadata: list[dict[str, str]] = []  # what each carried beside the message
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(32),
            options=(("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)),
        )
        prediction = {
            "Predict": _method(self._predict, wire.PredictRequest),
            "GetModelMetadata": _method(self._metadata, wire.GetModelMetadataRequest),
        }
        status = {"GetModelStatus": _method(self._status, wire.GetModelStatusRequest)}
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", prediction),
                grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", status),
            )
        )
        address = f"127.0.0.1:{port}"
        self.port = (
            self._server.add_insecure_port(address)
            if credentials is None
            else self._server.add_secure_port(address, credentials)
        )
        self._server.start()

    @property
    def target(self) -> str:
        """host:port"""
        return f"127.0.0.1:{self.port}"

    def stop(self, grace: float | None = None) -> None:
        """Stop; calls under way are cut off after `grace` seconds, or at once."""
        self._stopping.set()
        self._server.stop(grace).wait()

    def _find(self, spec: wire.ModelSpec) -> tuple[int, FakeVersion]:
        if not spec.name:
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified.")
        versions = {
            number: version
            for number, version in self.models.get(spec.name, {}).items()
            if version.state == "AVAILABLE"
        }
        if spec.HasField("version"):
            wanted, words = spec.version.value, f"Specific({spec.name}, {spec.version.value})"
        elif spec.version_label:
            labelled = [
                number for number, version in versions.items() if spec.version_label in version.labels
            ]
            if not labelled:
                words = f"Unrecognized servable version label: {spec.version_label}"
                raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, words)
            wanted, words = labelled[0], ""
        else:
            wanted, words = max(versions, default=-1), f"Latest({spec.name})"
        if wanted not in versions:
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {words}")
        return wanted, versions[wanted]

    def _refuse(self) -> None:
        if self.behaviour.refusal is not None:
            raise self.behaviour.refusal
        with self._lock:
            if self.behaviour.refusals:
                self.behaviour.refusals -= 1
                raise Refusal(self.behaviour.refused_as, "Server Threadpool Exhausted")

    def _predict(self, request: wire.PredictRequest, context: grpc.ServicerContext) -> wire.PredictResponse:
        self._refuse()
        number, version = self._find(request.model_spec)
        name = request.model_spec.signature_name or SIGNATURE_PIXELS
        if name not in version.signatures:
            raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        inputs = {key: to_array(tensor) for key, tensor in request.inputs.items()}
        if name == SIGNATURE_CARD:
            assert version.card is not None
            card = json.dumps(version.card.to_dict()).encode()
            outputs: Arrays = {OUTPUT_CARD: np.array([card] * len(inputs[INPUT_QUERY]), object)}
        else:
            outputs = self._run(version, inputs, context)
        tensors = {key: typed(array) for key, array in outputs.items()}
        wanted = request.output_filter or tensors
        spec = wire.ModelSpec(name=request.model_spec.name, signature_name=name)
        spec.version.value = number
        return wire.PredictResponse(outputs={key: tensors[key] for key in wanted}, model_spec=spec)

    def _run(self, version: FakeVersion, inputs: Arrays, context: grpc.ServicerContext) -> Arrays:
        count = len(next(iter(inputs.values())))
        with self._lock:
            self.predicts += 1
            self.batches.append(count)
            self.deadlines.append(context.time_remaining() or float("inf"))
            self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
        if self.behaviour.batch_limit is not None and count > self.behaviour.batch_limit:
            words = f"Task size {count} is larger than maximum input batch size {self.behaviour.batch_limit}"
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, words)
        until = time.monotonic() + self.behaviour.delay
        while time.monotonic() < until and context.is_active() and not self._stopping.is_set():
            time.sleep(0.002)
        return version.answer(inputs)

    def _metadata(
        self, request: wire.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> wire.GetModelMetadataResponse:
        self._refuse()
        number, version = self._find(request.model_spec)
        signatures = wire.SignatureDefMap()
        for name, (inputs, outputs) in version.signatures.items():
            definition = signatures.signature_def[name]
            for key, (dtype, shape) in inputs.items():
                definition.inputs[key].dtype = dtype  # type: ignore[assignment]
                for side in shape:
                    definition.inputs[key].tensor_shape.dim.add(size=side)
            for key in outputs:
                definition.outputs[key].dtype = wire.DT_FLOAT
        packed = AnyMessage(
            type_url="type.googleapis.com/tensorflow.serving.SignatureDefMap",
            value=signatures.SerializeToString(),
        )
        spec = wire.ModelSpec(name=request.model_spec.name)
        spec.version.value = number
        return wire.GetModelMetadataResponse(model_spec=spec, metadata={"signature_def": packed})

    def _status(
        self, request: wire.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> wire.GetModelStatusResponse:
        self._refuse()
        name = request.model_spec.name
        if name not in self.models:
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
        wanted = request.model_spec.version.value if request.model_spec.HasField("version") else None
        if wanted is not None and wanted not in self.models[name]:
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"Could not find version {wanted} of model {name}")
        states = [
            wire.ModelVersionStatus(
                version=number,
                state=version.state,
                status=wire.StatusProto(),
            )
            for number, version in self.models[name].items()
            if wanted in (None, number)  # a label is ignored
        ]
        return wire.GetModelStatusResponse(model_version_status=states)


def _method(
    answer: Callable[[Any, grpc.ServicerContext], Message], request: type[Message]
) -> grpc.RpcMethodHandler[Any, Any]:
    def call(message: Any, context: grpc.ServicerContext) -> Message:
        try:
            return answer(message, context)
        except Refusal as refusal:
            context.abort(refusal.code, refusal.details)

    return grpc.unary_unary_rpc_method_handler(
        call,
        request_deserializer=request.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )


@contextmanager
def fake_serving(
    models: dict[str, dict[int, FakeVersion]] | None = None,
    *,
    port: int = 0,
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[FakeServing]:
    """A running server, stopped at the end."""
    server = FakeServing(models, port=port, credentials=credentials)
    try:
        yield server
    finally:
        server.stop()
