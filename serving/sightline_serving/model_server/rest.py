"""The REST API as a WSGI application: paths, methods, status codes; the work is done elsewhere."""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    regression_pb2,
)
from werkzeug.wrappers import Request, Response

from sightline_serving.model_server.inference import REST, Inference
from sightline_serving.model_server.json_examples import read_examples
from sightline_serving.model_server.json_results import (
    classifications_json,
    error_json,
    metadata_json,
    predictions_json,
    regressions_json,
    status_json,
)
from sightline_serving.model_server.json_tensors import read_tensors
from sightline_serving.model_server.json_values import parse_object, signature_name
from sightline_serving.model_server.model_information import (
    SIGNATURE_DEF,
    get_model_metadata,
    get_model_status,
)
from sightline_serving.model_server.servable import DEFAULT_SIGNATURE
from sightline_serving.model_server.status import Code, StatusError, invalid_argument

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

_MODEL = r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
_INFERENCE = re.compile(_MODEL + r":(classify|regress|predict)", re.IGNORECASE | re.ASCII)
_INFORMATION = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?", re.IGNORECASE | re.ASCII
)
_API = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}

MAX_UNPACKED: Final = 100 * 2**20  # bytes of a body that came packed; the official server's limit too

HTTP_STATUSES: dict[Code, int] = {
    Code.OK: HTTPStatus.OK,
    Code.CANCELLED: 499,  # client closed request
    Code.UNKNOWN: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    Code.ABORTED: HTTPStatus.CONFLICT,
    Code.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.DATA_LOSS: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
}


class UnpackedTooLargeError(Exception):
    """A body that came packed holds more than MAX_UNPACKED."""


class RestApi:
    """`/v1/models/…` over WSGI."""

    def __init__(
        self, inference: Inference, *, timeout: float, cors: bool = False, metrics_path: str = ""
    ) -> None:
        """Args:
        inference: what answers.
        timeout: seconds that a request may take.
        cors: send CORS headers.
        metrics_path: where the metrics are; nowhere if empty.
        """
        self._inference = inference
        self._timeout = timeout
        self._headers = _CORS if cors else {}
        self._metrics_path = metrics_path
        self._methods: dict[str, Callable[[model_pb2.ModelSpec, bytes], bytes]] = {
            "predict": self._predict,
            "classify": self._classify,
            "regress": self._regress,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        # The raw path, for a %2F in a model's name is part of the name.
        path = environ.get("REQUEST_URI", request.path).partition("?")[0]
        return self.answer(request, path)(environ, start_response)

    def answer(self, request: Request, path: str) -> Response:
        """The response to one request; every error becomes the official JSON here."""
        if self._metrics_path and path == self._metrics_path:
            return Response(self._inference.metrics.page(), content_type="text/plain")
        if not _API.fullmatch(path):
            return Response("", HTTPStatus.NOT_FOUND)
        try:
            body, status = self._dispatch(request, path), int(HTTPStatus.OK)
        except StatusError as fault:
            body, status = error_json(fault.message), HTTP_STATUSES[fault.code]
        except UnpackedTooLargeError as fault:  # no canonical code says so
            body, status = error_json(str(fault)), int(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except Exception as fault:
            log.exception("A request failed")
            body, status = error_json(f"{type(fault).__name__}: {fault}"), HTTP_STATUSES[Code.INTERNAL]
        return Response(body, status, self._headers, content_type="application/json")

    def _dispatch(self, request: Request, path: str) -> bytes:
        match = None
        if request.method == "POST":
            match = _INFERENCE.fullmatch(path)
        elif request.method == "GET":
            match = _INFORMATION.fullmatch(path)
        elif request.method == "OPTIONS":
            return b""
        if match is None:
            raise invalid_argument(f"Malformed request: {request.method} {path}")
        name, version, label, tail = match.groups()
        spec = _model_spec(name, version, label)
        if request.method == "POST":
            method = tail.lower()
            with self._inference.counted(spec.name, method, REST):
                return self._methods[method](spec, _body(request))
        if not spec.name:
            raise invalid_argument("Missing model name in request.")
        with self._inference.counted(spec.name, "", REST):
            return self._metadata(spec) if tail else self._status(spec)

    def _predict(self, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        document = parse_object(body)
        asked = signature_name(document)
        with self._inference.core.lease(spec) as servable:
            name = asked or DEFAULT_SIGNATURE
            definition = servable.signatures.get(name)
            if definition is None:  # not in the words of gRPC
                raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
            tensors, layout = read_tensors(document, definition.inputs, asked)
            feeds = {definition.inputs[alias].name: tensor for alias, tensor in tensors.items()}
            result = self._inference.run(servable, servable.signature(name), feeds, self._timeout)
        return predictions_json(result.outputs, layout)

    def _classify(self, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        document = parse_object(body)
        spec.signature_name = signature_name(document)
        request = classification_pb2.ClassificationRequest(model_spec=spec, input=read_examples(document))
        return classifications_json(self._inference.classify(request, self._timeout).result)

    def _regress(self, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        document = parse_object(body)
        spec.signature_name = signature_name(document)
        request = regression_pb2.RegressionRequest(model_spec=spec, input=read_examples(document))
        return regressions_json(self._inference.regress(request, self._timeout).result)

    def _status(self, spec: model_pb2.ModelSpec) -> bytes:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
        return status_json(get_model_status(self._inference.core, request))

    def _metadata(self, spec: model_pb2.ModelSpec) -> bytes:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec)
        request.metadata_field.append(SIGNATURE_DEF)
        return metadata_json(get_model_metadata(self._inference.core, request))


def _body(request: Request) -> bytes:
    """The body, unpacked if it came packed, and then only as far as the limit."""
    if "gzip" not in request.headers.get("Content-Encoding", "").lower():
        return request.get_data(cache=False)
    try:
        with gzip.GzipFile(fileobj=request.stream) as packed:
            body = packed.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as fault:
        raise invalid_argument(f"The body is not in the gzip format: {fault}") from None
    if len(body) > MAX_UNPACKED:
        raise UnpackedTooLargeError(
            f"The body holds more than {MAX_UNPACKED} bytes when unpacked, which is the limit for gzip. Send "
            "fewer instances, or send it as it is."
        )
    return body


def _model_spec(name: str | None, version: str | None, label: str | None) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=unquote(name or ""))
    if version:
        if int(version) >= 2**63:
            raise invalid_argument(f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(version)
    elif label:
        spec.version_label = unquote(label)
    return spec
