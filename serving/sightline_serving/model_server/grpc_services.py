"""PredictionService and ModelService over gRPC: a thin skin that parses, delegates and serialises."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from sightline_serving.model_server.call_threads import Aside
from sightline_serving.model_server.core import ServerCore
from sightline_serving.model_server.inference import GRPC, Inference
from sightline_serving.model_server.model_information import get_model_metadata, get_model_status
from sightline_serving.model_server.status import Code, StatusError, invalid_argument

log = logging.getLogger(__name__)

PREDICTION_SERVICE: Final = "tensorflow.serving.PredictionService"
MODEL_SERVICE: Final = "tensorflow.serving.ModelService"

FOREVER_S: Final = 1e9  # thirty years
TELL_EVERY_S: Final = 60.0  # between two lines that say that calls are refused
MESSAGE_LIMIT: Final = 1024  # bytes of an error's text; the official server cuts it there, and says so
CUT: Final = "...TRUNCATED"

_GRPC_CODES = {int(code.value[0]): code for code in grpc.StatusCode}

Answer = Callable[[Any, float | None], bytes]  # request, seconds left -> serialised response


@dataclass(frozen=True, slots=True)
class Method:
    """One method: the type of its request, and what answers it."""

    request: Any
    answer: Answer


class CallLimit:
    """So many calls at once; one more is refused, as gRPC's C++ server does when its threads are used up."""

    def __init__(self, limit: int) -> None:
        self._limit = self._free = limit
        self._lock = threading.Lock()  # a semaphore would do, at five times the price
        self._told = -math.inf  # seconds of the monotonic clock

    def __enter__(self) -> None:
        """Take a place.

        Raises:
            StatusError: RESOURCE_EXHAUSTED, none is free.
        """
        with self._lock:
            if not self._free:
                self._tell()
                raise StatusError(Code.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
            self._free -= 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._free += 1

    def _tell(self) -> None:
        """Say now and then what the answer, whose words are the official ones, does not."""
        now = time.monotonic()
        if now - self._told > TELL_EVERY_S:
            self._told = now
            log.warning(
                "Calls are refused, as %d are served already; --grpc_max_threads sets how many", self._limit
            )


def prediction_methods(inference: Inference, *, as_content: bool) -> dict[str, Method]:
    """PredictionService.

    Args:
        inference: what answers.
        as_content: answer Predict in `tensor_content` instead of the typed fields.
    """

    def predict(request: predict_pb2.PredictRequest, timeout: float | None) -> bytes:
        with inference.counted(request.model_spec.name, "Predict", GRPC):
            return inference.predict(request, timeout).serialize(as_content=as_content)

    def classify(request: classification_pb2.ClassificationRequest, timeout: float | None) -> bytes:
        with inference.counted(request.model_spec.name, "Classify", GRPC):
            return bytes(inference.classify(request, timeout).SerializeToString())

    def regress(request: regression_pb2.RegressionRequest, timeout: float | None) -> bytes:
        with inference.counted(request.model_spec.name, "Regress", GRPC):
            return bytes(inference.regress(request, timeout).SerializeToString())

    def multi_inference(request: inference_pb2.MultiInferenceRequest, timeout: float | None) -> bytes:
        name = request.tasks[0].model_spec.name if request.tasks else ""
        with inference.counted(name, "MultiInference", GRPC):
            return bytes(inference.multi_inference(request, timeout).SerializeToString())

    def metadata(request: get_model_metadata_pb2.GetModelMetadataRequest, _: float | None) -> bytes:
        return bytes(get_model_metadata(inference.core, request).SerializeToString())

    return {
        "Predict": Method(predict_pb2.PredictRequest, predict),
        "Classify": Method(classification_pb2.ClassificationRequest, classify),
        "Regress": Method(regression_pb2.RegressionRequest, regress),
        "MultiInference": Method(inference_pb2.MultiInferenceRequest, multi_inference),
        "GetModelMetadata": Method(get_model_metadata_pb2.GetModelMetadataRequest, metadata),
    }


def model_methods(core: ServerCore) -> dict[str, Method]:
    """ModelService."""

    def status(request: get_model_status_pb2.GetModelStatusRequest, _: float | None) -> bytes:
        return bytes(get_model_status(core, request).SerializeToString())

    def reload(request: model_management_pb2.ReloadConfigRequest, _: float | None) -> bytes:
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is "
                "currently supported"
            )
        with Aside():  # it waits until the models are loaded
            core.reload(request.config)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        return bytes(response.SerializeToString())

    return {
        "GetModelStatus": Method(get_model_status_pb2.GetModelStatusRequest, status),
        "HandleReloadConfigRequest": Method(model_management_pb2.ReloadConfigRequest, reload),
    }


def service_handler(service: str, methods: Mapping[str, Method], limit: CallLimit) -> grpc.GenericRpcHandler:
    """A service, ready for `server.add_generic_rpc_handlers`.

    The generated `add_…Servicer_to_server` would insist on messages for answers; these are bytes already.
    """
    return grpc.method_handlers_generic_handler(
        service,
        {
            name: grpc.unary_unary_rpc_method_handler(
                _guarded(method.answer, limit), request_deserializer=method.request.FromString
            )
            for name, method in methods.items()
        },
    )


def _time_left(context: grpc.ServicerContext) -> float | None:
    """Seconds until the caller gives up; None if it never does, which gRPC tells as a very large number."""
    seconds: float | None = context.time_remaining()
    return None if seconds is None or seconds > FOREVER_S else seconds


def shortened(message: str) -> str:
    """An error's text as gRPC may carry it: a signature printed whole is more than headers hold."""
    raw = message.encode("utf-8", "surrogateescape")
    if len(raw) <= MESSAGE_LIMIT:
        return message
    return raw[:MESSAGE_LIMIT].decode("utf-8", "ignore") + CUT


def _guarded(answer: Answer, limit: CallLimit) -> Callable[[Any, grpc.ServicerContext], bytes]:
    """The one place where a status becomes a gRPC status."""

    def handle(request: Any, context: grpc.ServicerContext) -> bytes:
        try:
            with limit:
                return answer(request, _time_left(context))
        except StatusError as fault:
            context.set_code(_GRPC_CODES[int(fault.code)])
            context.set_details(shortened(fault.message))
        except Exception as fault:  # gRPC would answer UNKNOWN with the text of any Python error
            log.exception("A call failed")
            context.set_code(grpc.StatusCode.INTERNAL)
            context.set_details(shortened(f"{type(fault).__name__}: {fault}"))
        return b""

    return handle
