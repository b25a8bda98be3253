"""The inference methods as both transports call them: find the version, run, count."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from sightline_serving.model_server import classify_regress
from sightline_serving.model_server.core import ServerCore
from sightline_serving.model_server.metrics import MICROSECONDS, Metrics
from sightline_serving.model_server.predict import Prediction, predict, run_signature
from sightline_serving.model_server.servable import Servable, Signature
from sightline_serving.model_server.sessions import Array
from sightline_serving.model_server.status import StatusError, invalid_argument

_Response = TypeVar("_Response")

GRPC = "GRPC"
REST = "REST"


class Counted:
    """One request that is counted: its outcome, and its time if it went well."""

    __slots__ = ("_api", "_began", "_entrypoint", "_metrics", "_model_name")

    def __init__(self, metrics: Metrics, model_name: str, api: str, entrypoint: str) -> None:
        self._metrics = metrics
        self._model_name = model_name
        self._api = api
        self._entrypoint = entrypoint

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if fault is None:
            elapsed = (time.perf_counter() - self._began) * MICROSECONDS
            self._metrics.request_count.add(self._model_name, "OK")
            self._metrics.request_latency.add(elapsed, self._model_name, self._api, self._entrypoint)
        elif isinstance(fault, StatusError):
            self._metrics.request_count.add(self._model_name, fault.code.name)


class Inference:
    """Predict, Classify, Regress and MultiInference on whatever version a request means."""

    def __init__(self, core: ServerCore, metrics: Metrics, *, check_method_name: bool = False) -> None:
        """Args:
        core: where the models are.
        metrics: what is counted.
        check_method_name: Classify and Regress refuse a signature that was saved for another method.
        """
        self.core = core
        self.metrics = metrics
        self._check_method_name = check_method_name

    def predict(self, request: predict_pb2.PredictRequest, timeout: float | None) -> Prediction:
        """See `predict.predict`."""
        return self._on_version("Predict", request, lambda servable: predict(servable, request, timeout))

    def classify(
        self, request: classification_pb2.ClassificationRequest, timeout: float | None
    ) -> classification_pb2.ClassificationResponse:
        """See `classify_regress.classify`."""
        return self._on_version(
            "Classify",
            request,
            lambda servable: classify_regress.classify(
                servable, request, timeout, check_method_name=self._check_method_name
            ),
        )

    def regress(
        self, request: regression_pb2.RegressionRequest, timeout: float | None
    ) -> regression_pb2.RegressionResponse:
        """See `classify_regress.regress`."""
        return self._on_version(
            "Regress",
            request,
            lambda servable: classify_regress.regress(
                servable, request, timeout, check_method_name=self._check_method_name
            ),
        )

    def multi_inference(
        self, request: inference_pb2.MultiInferenceRequest, timeout: float | None
    ) -> inference_pb2.MultiInferenceResponse:
        """See `classify_regress.multi_inference`."""
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        with self.core.lease(spec) as servable:
            self._count_examples(servable, request)
            return classify_regress.multi_inference(
                servable, request, timeout, check_method_name=self._check_method_name
            )

    def run(
        self, servable: Servable, signature: Signature, feeds: Mapping[str, Array], timeout: float | None
    ) -> Prediction:
        """Predict for a caller that has found the version and read the tensors itself; all outputs."""
        began = time.perf_counter()
        result = run_signature(servable, signature, feeds, list(signature.outputs), timeout)
        self._record_run(servable, "Predict", began)
        return result

    def _on_version(self, api: str, request: Any, run: Callable[[Servable], _Response]) -> _Response:
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        with self.core.lease(request.model_spec) as servable:
            if api != "Predict":
                self._count_examples(servable, request)
            began = time.perf_counter()
            response = run(servable)
            self._record_run(servable, api, began)
            return response

    def _record_run(self, servable: Servable, api: str, began: float) -> None:
        elapsed = (time.perf_counter() - began) * MICROSECONDS
        self.metrics.runtime_latency.add(elapsed, servable.name, api, servable.runtime)

    def _count_examples(self, servable: Servable, request: Any) -> None:
        kind = request.input.WhichOneof("kind")
        count = len(getattr(request.input, kind).examples) if kind else 0
        self.metrics.example_counts.add(count, servable.name)
        self.metrics.example_count_total.add(servable.name, amount=count)

    def counted(self, model_name: str, api: str, entrypoint: str) -> Counted:
        """Count what is done in a `with` block as one request."""
        return Counted(self.metrics, model_name, api, entrypoint)
