"""The server's life: check, load, open the ports, serve, drain."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from sightline_serving.model_server.addresses import check_port
from sightline_serving.model_server.config_files import (
    ConfigPoller,
    read_metrics_path,
    read_model_config,
)
from sightline_serving.model_server.core import ServerCore
from sightline_serving.model_server.grpc_server import (
    GrpcServer,
    parse_channel_arguments,
    read_credentials,
)
from sightline_serving.model_server.grpc_services import (
    MODEL_SERVICE,
    PREDICTION_SERVICE,
    CallLimit,
    model_methods,
    prediction_methods,
    service_handler,
)
from sightline_serving.model_server.inference import Inference
from sightline_serving.model_server.loading import make_loader
from sightline_serving.model_server.manager import Loader, LoadPolicy
from sightline_serving.model_server.metrics import MICROSECONDS, Metrics
from sightline_serving.model_server.options import Options
from sightline_serving.model_server.rest import RestApi
from sightline_serving.model_server.rest_server import RestServer
from sightline_serving.model_server.status import invalid_argument

log = logging.getLogger(__name__)


class ModelServer:
    """Everything that one process serves."""

    def __init__(self, options: Options) -> None:
        """Read the files that the options name, and see whether the ports are free.

        Raises:
            StatusError: the options or a file are unsound.
            AddressInUseError: a port is taken.
        """
        _check(options)
        self._options = options
        self._config = read_model_config(options)
        self._metrics_path = read_metrics_path(options.monitoring_config_file)
        self._credentials = read_credentials(options.ssl_config_file)
        self._arguments = parse_channel_arguments(options.grpc_channel_arguments)
        for port, purpose in ((options.port, "gRPC"), (options.rest_api_port, "REST")):
            if port:
                check_port(port, purpose)
        self._metrics = Metrics()
        loader = make_loader(options, self._metrics)
        self._scheduler = loader.scheduler
        self._core = _make_core(options, loader)
        self._poller: ConfigPoller | None = None
        self._grpc: GrpcServer | None = None
        self._rest: RestServer | None = None

    def start(self) -> None:
        """Load the models, then open the ports: a server that can be reached can answer.

        Raises:
            StatusError: a model did not become available.
            AddressInUseError: a port was taken meanwhile.
        """
        options = self._options
        self._core.reload(self._config)
        if self._core.closing:
            return
        inference = Inference(
            self._core, self._metrics, check_method_name=options.enable_signature_method_name_check
        )
        self._grpc = self._make_grpc(inference)
        if options.rest_api_port:
            api = RestApi(
                inference,
                timeout=options.rest_api_timeout_in_ms / 1e3,
                cors=options.rest_api_enable_cors_support,
                metrics_path=self._metrics_path,
            )
            self._rest = RestServer(api, options.rest_api_port, options.rest_threads)
            self._rest.start()
            log.info("Exporting HTTP/REST API at:localhost:%d ...", options.rest_api_port)
        self._grpc.start()
        if options.port:
            log.info("Running gRPC ModelServer at 0.0.0.0:%d ...", options.port)
        if options.grpc_socket_path:
            log.info("Running gRPC ModelServer at UNIX socket %s ...", options.grpc_socket_path)
        if options.model_config_file and options.model_config_file_poll_wait_seconds > 0:
            self._poller = ConfigPoller(options, self._core.reload)
            self._poller.start()

    def _make_grpc(self, inference: Inference) -> GrpcServer:
        options = self._options
        limit = CallLimit(options.grpc_threads)
        prediction = prediction_methods(inference, as_content=options.enable_serialization_as_tensor_content)
        server = GrpcServer(
            [
                service_handler(PREDICTION_SERVICE, prediction, limit),
                service_handler(MODEL_SERVICE, model_methods(self._core), limit),
            ],
            threads=options.grpc_threads,
            port=options.port,
            socket_path=options.grpc_socket_path,
            arguments=self._arguments,
            credentials=self._credentials,
        )
        if options.enable_grpc_healthcheck_service:
            server.add_health_service()
        if options.enable_grpc_reflection:
            server.add_reflection(health_too=options.enable_grpc_healthcheck_service)
        return server

    def interrupt(self) -> None:
        """End a `start` that still waits for models. Safe in a signal handler."""
        self._core.cancel_waiting()

    def stop(self) -> None:
        """Refuse new calls, let those in progress end within the grace period, unload the models."""
        grace = self._options.shutdown_grace_seconds
        self._core.cancel_waiting()
        if self._poller is not None:
            self._poller.stop()
        with ThreadPoolExecutor(2) as both:  # one grace period for both, not one after the other
            if self._rest is not None:
                both.submit(self._rest.stop, grace)
            if self._grpc is not None:
                both.submit(self._grpc.stop, grace)
        unloading = threading.Thread(target=self._unload, name="unloading", daemon=True)
        unloading.start()
        # A request that outlives its grace keeps its version; the process ends all the same.
        unloading.join(grace)

    def _unload(self) -> None:
        self._core.close()
        if self._scheduler is not None:
            self._scheduler.close()


def _make_core(options: Options, loader: Loader) -> ServerCore:
    return ServerCore(
        loader,
        policy=LoadPolicy(
            retries=options.max_num_load_retries,
            retry_interval=min(options.load_retry_interval_micros / MICROSECONDS, threading.TIMEOUT_MAX),
            load_threads=options.num_load_threads,
            unload_threads=options.num_unload_threads,
        ),
        poll_interval=options.file_system_poll_wait_seconds,
        allow_unavailable_labels=options.allow_version_labels_for_unavailable_models,
        force_unavailable_labels=options.force_allow_any_version_labels_for_unavailable_models,
    )


def _check(options: Options) -> None:
    if not options.port and not options.grpc_socket_path:
        raise invalid_argument("server_options.grpc_port is not set.")
    if options.rest_api_port and options.rest_api_port == options.port:
        raise invalid_argument(
            "--rest_api_port cannot be same as --port. Please use a different port for HTTP/REST API."
        )
    if options.batching_parameters_file and not options.enable_batching:
        raise invalid_argument(
            "server_options.batching_parameters_file is set without setting "
            "server_options.enable_batching to true."
        )
    if options.enable_per_model_batching_parameters and not options.enable_batching:
        raise invalid_argument(
            "server_options.enable_per_model_batching_params is set without setting "
            "server_options.enable_batching to true."
        )
