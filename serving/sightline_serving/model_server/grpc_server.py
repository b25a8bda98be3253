"""The gRPC server: addresses, threads, credentials, and the services that every gRPC server may offer."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

from sightline_serving.model_server.addresses import AddressInUseError
from sightline_serving.model_server.call_threads import Aside, CallThreads
from sightline_serving.model_server.config_files import read_text_proto
from sightline_serving.model_server.grpc_services import MODEL_SERVICE, PREDICTION_SERVICE
from sightline_serving.model_server.status import invalid_argument
from sightline_serving.model_server.wire import serving_config_pb2

UNLIMITED: Final = -1  # size of a message
SPARE_THREADS: Final = 4  # beyond the limit, so that a refusal need not wait for a thread

Arguments = list[tuple[str, int | str]]


class _Reflection(reflection.ReflectionServicer):
    """The usual one; its calls last until the caller has no more questions, and mostly wait for the next."""

    def ServerReflectionInfo(self, request_iterator: Iterable[Any], context: Any) -> Iterator[Any]:  # noqa: N802
        with Aside():
            yield from super().ServerReflectionInfo(request_iterator, context)


class GrpcServer:
    """A `grpc.Server` that listens on a port, a socket, or both."""

    def __init__(
        self,
        handlers: Sequence[grpc.GenericRpcHandler],
        *,
        threads: int,
        port: int = 0,
        socket_path: str = "",
        arguments: Arguments | None = None,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        """Bind, without serving yet.

        Args:
            handlers: the services.
            threads: calls that are served at once.
            port: on all interfaces; none if zero.
            socket_path: of a UNIX socket; none if empty.
            arguments: channel arguments of gRPC.
            credentials: for TLS.

        Raises:
            AddressInUseError: the port or socket is taken.
        """
        self._threads = CallThreads(threads + SPARE_THREADS, "grpc")
        executor: Any = self._threads  # any executor will do, whatever the annotations say
        self._server = grpc.server(
            executor,
            options=[
                ("grpc.max_receive_message_length", UNLIMITED),
                ("grpc.max_send_message_length", UNLIMITED),
                ("grpc.so_reuseport", 0),  # or a second server would share the port without a word
                *(arguments or []),
            ],
        )
        self._server.add_generic_rpc_handlers(tuple(handlers))
        self._socket = Path(socket_path) if socket_path else None
        if port:
            self._bind(f"0.0.0.0:{port}", credentials)
        if self._socket is not None:
            self._bind(f"unix:{_free_socket(self._socket)}", credentials)

    def _bind(self, address: str, credentials: grpc.ServerCredentials | None) -> None:
        try:
            if credentials is None:
                self._server.add_insecure_port(address)
            else:
                self._server.add_secure_port(address, credentials)
        except RuntimeError as fault:
            raise AddressInUseError(f"cannot listen for gRPC on {address}: is it in use?") from fault

    def add_health_service(self) -> None:
        """The gRPC health service: SERVING for the server and both services, whatever the models do."""
        servicer = health.HealthServicer()
        for service in ("", PREDICTION_SERVICE, MODEL_SERVICE):
            servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)

    def add_reflection(self, *, health_too: bool) -> None:
        """The gRPC reflection service, by which grpcurl and its like learn the methods and messages."""
        names = [
            prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name,
            model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
            reflection.SERVICE_NAME,
        ]
        if health_too:
            names.append(health.SERVICE_NAME)
        add: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server
        add(_Reflection(names), self._server)

    def start(self) -> None:
        """Serve."""
        self._server.start()

    def stop(self, grace: float) -> None:
        """Refuse new calls, let those in progress end within `grace` seconds, and return when they have."""
        self._server.stop(grace).wait()
        self._threads.shutdown()


def _free_socket(path: Path) -> Path:
    """The path, freed of a socket that a server left behind; gRPC would take one in use without a word.

    Raises:
        AddressInUseError: somebody listens there, it is something else than a socket, or it has no folder.
    """
    if not path.parent.is_dir():
        raise AddressInUseError(f"cannot listen for gRPC on unix:{path}: there is no folder {path.parent}")
    if path.is_socket():
        with closing(socket.socket(socket.AF_UNIX)) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise AddressInUseError(f"cannot listen for gRPC on unix:{path}: it is in use")
        path.unlink()
    elif path.exists():
        raise AddressInUseError(f"cannot listen for gRPC on unix:{path}: it exists and is no socket")
    return path


def parse_channel_arguments(text: str) -> Arguments:
    """`--grpc_channel_arguments`: `key=value,key=value`, values integers where they can be.

    Raises:
        StatusError: a part is not of that form.
    """
    arguments: Arguments = []
    for part in filter(None, text.split(",")):
        key, found, value = part.partition("=")
        if not (found and key):
            raise invalid_argument(f"--grpc_channel_arguments: expected key=value, got '{part}'")
        arguments.append((key, int(value) if value.lstrip("-").isdigit() else value))
    return arguments


def read_credentials(ssl_config_file: str) -> grpc.ServerCredentials | None:
    """TLS as an SSLConfig file says; None for an empty name.

    Raises:
        StatusError: the file is missing or unsound, or lacks key or certificate.
    """
    if not ssl_config_file:
        return None
    config = read_text_proto(ssl_config_file, serving_config_pb2.SSLConfig())
    if not (config.server_key and config.server_cert):
        raise invalid_argument(f"{ssl_config_file}: server_key and server_cert must be set, in PEM")
    if config.client_verify and not config.custom_ca:
        raise invalid_argument(f"{ssl_config_file}: client_verify needs custom_ca, in PEM")
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )
