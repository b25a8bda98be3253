"""The stub of TensorFlow Serving: predict, metadata and status over gRPC, in our types and our errors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple

import grpc
from google.protobuf.message import Message
from numpy.typing import NDArray

from sightline.contract import LONGEST_TIMEOUT, SERVING_TIMEOUT, ModelRef
from sightline.errors import (
    DeadlineError,
    ExhaustedError,
    ModelNotFoundError,
    ServingError,
    SightlineError,
    SignatureError,
    UnavailableError,
)
from sightline.made_anew import MadeAnew
from sightline.predict_request import model_spec, predict_request
from sightline.served_models import VersionStatus
from sightline.serving_address import check_serving_address
from sightline.signatures import Signature, signatures_from
from sightline.tensors import Tensors
from sightline.wire import serving_pb2 as wire

MAX_MESSAGE: Final = 256 * 2**20  # bytes; gRPC's own limit of 4 MB is eight 400 x 400 pictures
_SERVICES: Final = "/tensorflow.serving."

# gRPC retries these itself, within the call's deadline. A server that is stopped cancels what it is at; what
# we cancel ourselves is not retried. To run a request twice does no harm.
_RETRIES: Final = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"],
}
_SERVICE_CONFIG: Final = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [{"name": [{}], "retryPolicy": _RETRIES}],
}
_CHANNEL_OPTIONS: Final = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    # By itself gRPC retries no call above 256 KiB, less than one picture of 400 x 400.
    ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE),
    ("grpc.max_reconnect_backoff_ms", 1000),  # a restarted server is found again within a second
)

# Every gRPC code has its row. INTERNAL and its like mean a fault on the server's side of the wire.
ERROR_OF_CODE: Final[Mapping[grpc.StatusCode, type[SightlineError]]] = {
    grpc.StatusCode.OK: ServingError,  # an RpcError never carries it
    grpc.StatusCode.CANCELLED: UnavailableError,
    grpc.StatusCode.UNKNOWN: ServingError,
    grpc.StatusCode.INVALID_ARGUMENT: ServingError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
    grpc.StatusCode.NOT_FOUND: ModelNotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: ServingError,
    grpc.StatusCode.PERMISSION_DENIED: ServingError,
    grpc.StatusCode.UNAUTHENTICATED: ServingError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ExhaustedError,
    grpc.StatusCode.FAILED_PRECONDITION: SignatureError,
    grpc.StatusCode.ABORTED: UnavailableError,
    grpc.StatusCode.UNIMPLEMENTED: ServingError,
    grpc.StatusCode.OUT_OF_RANGE: ServingError,
    grpc.StatusCode.INTERNAL: ServingError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DATA_LOSS: ServingError,
}
_NO_THREAD: Final = "Server Threadpool Exhausted"  # RESOURCE_EXHAUSTED
_UNKNOWN_LABEL: Final = "Unrecognized servable version label"  # INVALID_ARGUMENT, yet a name not found


class Prediction(NamedTuple):
    """The answer to Predict."""

    outputs: Tensors
    version: int  # of the model that answered


class ServingStub(MadeAnew):
    """Calls to one TensorFlow Serving, or several behind one name. Safe to share between threads.

    A channel connects at the first call, so a stub can be made before the server is up; make it after
    a fork, not before.

    Args:
        target: `host:port`, `unix:PATH`, or `dns:///name:port` for round robin over all its addresses.
        timeout: seconds for a call with its retries, where the call gives none.
        credentials: for TLS; None speaks plain text.

    Raises:
        ValueError: the target is no address.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float = SERVING_TIMEOUT,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.target = check_serving_address(target)
        self.timeout = timeout
        self._closed = False
        self._channel = (
            grpc.insecure_channel(target, options=_CHANNEL_OPTIONS)
            if credentials is None
            else grpc.secure_channel(target, credentials, options=_CHANNEL_OPTIONS)
        )
        self._predict = self._method("PredictionService/Predict", wire.PredictResponse)
        self._metadata = self._method("PredictionService/GetModelMetadata", wire.GetModelMetadataResponse)
        self._status = self._method("ModelService/GetModelStatus", wire.GetModelStatusResponse)

    def predict(
        self,
        ref: ModelRef,
        inputs: Mapping[str, NDArray[Any]],
        *,
        signature: str,
        outputs: Iterable[str] = (),
        timeout: float | None = None,
    ) -> Prediction:
        """Run a signature.

        Args:
            ref: the model.
            inputs: input name -> array; strings as arrays of `object`.
            signature: its name.
            outputs: names to ask for; none asks for all.
            timeout: seconds.

        Raises:
            SightlineError: as ERROR_OF_CODE translates what the server says.
        """
        request = predict_request(ref, inputs, signature=signature, outputs=outputs)
        response = self._call(self._predict, request, timeout)
        return Prediction(Tensors(response.outputs), response.model_spec.version.value)

    def metadata(self, ref: ModelRef, *, timeout: float | None = None) -> tuple[dict[str, Signature], int]:
        """The model's signatures by name, and the version that they are of."""
        request = wire.GetModelMetadataRequest(model_spec=model_spec(ref), metadata_field=["signature_def"])
        response = self._call(self._metadata, request, timeout)
        # The Any names the official type, which is not ours; its bytes are the same.
        packed = response.metadata["signature_def"].value
        return signatures_from(wire.SignatureDefMap.FromString(packed)), response.model_spec.version.value

    def status(self, ref: ModelRef, *, timeout: float | None = None) -> tuple[VersionStatus, ...]:
        """The states of the model's versions, newest first."""
        response = self._call(self._status, wire.GetModelStatusRequest(model_spec=model_spec(ref)), timeout)
        found = (
            VersionStatus(
                item.version, wire.ModelVersionStatus.State.Name(item.state), item.status.error_message
            )
            for item in response.model_version_status
        )
        return tuple(sorted(found, key=lambda status: -status.version))

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        self._closed = True
        self._channel.close()

    def __enter__(self) -> ServingStub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _method(self, path: str, answer: type[Message]) -> grpc.UnaryUnaryMultiCallable[Any, Any]:
        return self._channel.unary_unary(
            _SERVICES + path,
            request_serializer=_serialised,
            response_deserializer=answer.FromString,
        )

    def _call(
        self, method: grpc.UnaryUnaryMultiCallable[Any, Any], request: Message | bytes, timeout: float | None
    ) -> Any:
        try:
            limit = self.timeout if timeout is None else timeout
            return method(request, timeout=min(limit, LONGEST_TIMEOUT))
        except grpc.RpcError as fault:
            raise self._translate(fault) from None
        except ValueError:  # gRPC's word for a closed channel
            if not self._closed:
                raise
            raise SightlineError(
                f"the connection to Serving at {self.target} was closed; open another"
            ) from None

    def _translate(self, fault: grpc.RpcError) -> SightlineError:
        code, details = fault.code(), fault.details() or ""
        if details.startswith(_UNKNOWN_LABEL):
            return ModelNotFoundError(details)
        kind = ERROR_OF_CODE.get(code, ServingError)
        if kind is DeadlineError:
            return DeadlineError(f"Serving at {self.target} did not answer in time")
        if kind is UnavailableError:
            return UnavailableError(f"Serving at {self.target} is not available: {details}")
        if details == _NO_THREAD:
            return ExhaustedError(
                f"Serving at {self.target} is at as many calls as it may be ({details}); try again, or start "
                "it with a higher --grpc_max_threads"
            )
        return kind(details or f"Serving at {self.target} failed with {code.name}")


def _serialised(request: Message | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()
