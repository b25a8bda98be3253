"""The flags of the official binary, as one frozen class: names, defaults, help, and what each does here.

Taken from tensorflow_serving/model_servers/main.cc and server.h. The command line, `--help` and the table in
the documentation are all made from these fields.
"""

from __future__ import annotations

import os
from dataclasses import Field, dataclass, field, fields
from typing import Any

THREADS_PER_CPU = 4  # of the gRPC and REST servers, unless set; the official default


def _flag(default: Any, help_text: str, *, no_effect: str = "", ours: bool = False) -> Any:
    """A field that is a flag. `no_effect` says why it changes nothing here; `ours` it is not official."""
    return field(default=default, metadata={"help": help_text, "no_effect": no_effect, "ours": ours})


def _default_threads() -> int:
    return THREADS_PER_CPU * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 16


@dataclass(frozen=True, slots=True)
class Options:
    """How the server was started. Field names are flag names."""

    port: int = _flag(8500, "TCP port to listen on for gRPC. Disabled if set to zero.")
    grpc_socket_path: str = _flag("", "If non-empty, listen for gRPC on a UNIX socket at this path too.")
    rest_api_port: int = _flag(
        0, "Port to listen on for HTTP/REST. If zero, REST is not served. Must differ from --port."
    )
    rest_api_num_threads: int = _flag(0, "Threads for HTTP/REST. If zero, four per CPU.")
    rest_api_timeout_in_ms: int = _flag(30_000, "Timeout for HTTP/REST calls, in milliseconds.")
    rest_api_enable_cors_support: bool = _flag(False, "Send CORS headers in REST answers.")
    enable_batching: bool = _flag(False, "Join concurrent requests into batches.")
    allow_version_labels_for_unavailable_models: bool = _flag(
        False, "If true, unused version labels may be given to versions that are not available yet."
    )
    force_allow_any_version_labels_for_unavailable_models: bool = _flag(
        False, "If true, any version label may be given to versions that are not available yet."
    )
    batching_parameters_file: str = _flag(
        "", "If non-empty, read a text BatchingParameters protobuf from this file."
    )
    enable_per_model_batching_parameters: bool = _flag(
        False,
        "Read each model's batching parameters from `batching_params.pbtxt` in its SavedModel folder; only "
        "the thread pool comes from --batching_parameters_file. Needs --enable_batching.",
    )
    model_config_file: str = _flag(
        "",
        "If non-empty, read a text ModelServerConfig protobuf from this file and serve the models in it. "
        "(If used, --model_name and --model_base_path are ignored.)",
    )
    model_config_file_poll_wait_seconds: int = _flag(
        0, "Seconds between two looks at --model_config_file. If zero, it is read once."
    )
    model_name: str = _flag("default", "Name of the model (ignored if --model_config_file is set).")
    model_base_path: str = _flag(
        "", "Folder of the model's versions (ignored if --model_config_file is set, otherwise required)."
    )
    num_load_threads: int = _flag(0, "Threads that load versions. If zero, one at a time.")
    num_unload_threads: int = _flag(0, "Threads that unload versions. If zero, one at a time.")
    max_num_load_retries: int = _flag(5, "How often a failed load is tried again. If zero, never.")
    load_retry_interval_micros: int = _flag(
        60_000_000, "Microseconds between two tries to load. If negative, none."
    )
    file_system_poll_wait_seconds: int = _flag(
        1,
        "Seconds between two looks for new versions. If zero, one look only; if negative, none, and the "
        "server waits for a model for ever.",
    )
    flush_filesystem_caches: bool = _flag(
        True, "Flush filesystem caches after loading.", no_effect="local files have no cache to flush"
    )
    tensorflow_session_parallelism: int = _flag(
        0, "Threads for running a session, intra and inter op. If zero, TensorFlow chooses."
    )
    tensorflow_session_config_file: str = _flag(
        "", "If non-empty, read a text ConfigProto protobuf from this file; flags override parts of it."
    )
    tensorflow_intra_op_parallelism: int = _flag(
        0, "Threads that share the work of one op. If zero, TensorFlow chooses."
    )
    tensorflow_inter_op_parallelism: int = _flag(
        0, "Ops that may run at the same time. If zero, TensorFlow chooses."
    )
    use_alts_credentials: bool = _flag(
        False, "Use Google ALTS credentials.", no_effect="ALTS exists inside Google Cloud only"
    )
    ssl_config_file: str = _flag(
        "", "If non-empty, read a text SSLConfig protobuf from this file and serve gRPC over TLS."
    )
    platform_config_file: str = _flag(
        "",
        "If non-empty, read a text PlatformConfigMap protobuf from this file.",
        no_effect="only the TensorFlow platform is served",
    )
    per_process_gpu_memory_fraction: float = _flag(
        0.0, "Part of the GPU's memory, 0.0 to 1.0, that the process takes. If zero, TensorFlow chooses."
    )
    saved_model_tags: str = _flag("serve", "Comma-separated tags of the meta graph to load.")
    grpc_channel_arguments: str = _flag(
        "", "Comma-separated arguments of the gRPC server, such as grpc.max_connection_age_ms=2000."
    )
    grpc_max_threads: int = _flag(
        0,
        "Calls that gRPC serves at once; one more is refused with `Server Threadpool Exhausted`. If zero, "
        "four per CPU.",
    )
    enable_model_warmup: bool = _flag(True, "Replay a version's warm-up requests before it serves.")
    num_request_iterations_for_warmup: int = _flag(
        0, "How often each warm-up request is replayed. Used if above zero."
    )
    version: bool = _flag(False, "Print the version and end.")
    monitoring_config_file: str = _flag(
        "", "If non-empty, read a text MonitoringConfig protobuf from this file."
    )
    remove_unused_fields_from_bundle_metagraph: bool = _flag(
        True, "Keep only the signatures of a loaded MetaGraphDef.", no_effect="it is always done"
    )
    prefer_tflite_model: bool = _flag(
        False, "Load `model.tflite` from the version folder where there is one, else the SavedModel."
    )
    num_tflite_pools: int = _flag(
        0, "Pools of TFLite interpreters.", no_effect="there is one pool to a model"
    )
    num_tflite_interpreters_per_pool: int = _flag(
        0, "TFLite interpreters for each model. If zero, one per CPU."
    )
    enable_signature_method_name_check: bool = _flag(
        False, "Refuse Classify and Regress on signatures of another method name."
    )
    xla_cpu_compilation_enabled: bool = _flag(
        False, "Enable XLA on the CPU.", no_effect="models that ask for XLA are compiled by TensorFlow itself"
    )
    xla_gpu_compilation_enabled: bool = _flag(
        False, "Enable XLA on the GPU.", no_effect="models that ask for XLA are compiled by TensorFlow itself"
    )
    enable_profiler: bool = _flag(
        True, "Offer the profiler service.", no_effect="TensorFlow's package does not open it to this server"
    )
    thread_pool_factory_config_file: str = _flag(
        "",
        "If non-empty, read a text ThreadPoolConfig protobuf from this file.",
        no_effect="there are no thread pool plug-ins",
    )
    mixed_precision: str = _flag(
        "", "If `bfloat16`, run what oneDNN may in bfloat16: cheaper only on CPUs with instructions for it."
    )
    skip_initialize_tpu: bool = _flag(False, "Do not initialise a TPU.", no_effect="there is no TPU")
    enable_grpc_healthcheck_service: bool = _flag(False, "Offer the gRPC health service.")
    enable_serialization_as_tensor_content: bool = _flag(
        False, "Answer Predict with `tensor_content` instead of the typed fields."
    )
    enable_grpc_reflection: bool = _flag(False, "Offer the gRPC reflection service.", ours=True)
    shutdown_grace_seconds: float = _flag(
        10.0, "After SIGTERM, the time that calls in progress get to end.", ours=True
    )

    @property
    def grpc_threads(self) -> int:
        """Calls that gRPC serves at once."""
        return self.grpc_max_threads or _default_threads()

    @property
    def rest_threads(self) -> int:
        """Calls that REST serves at once."""
        return self.rest_api_num_threads or _default_threads()


def every_flag() -> tuple[Field[Any], ...]:
    """The flags in the order of `--help`."""
    return fields(Options)
