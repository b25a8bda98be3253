"""The command line in TensorFlow's manner."""

from __future__ import annotations

import os

import pytest

from sightline_serving.model_server.flags import FlagError, HelpRequested, parse, usage
from sightline_serving.model_server.options import Options, every_flag

# tensorflow_serving/model_servers/main.cc
OFFICIAL = tuple(
    """
    port grpc_socket_path rest_api_port rest_api_num_threads rest_api_timeout_in_ms
    rest_api_enable_cors_support enable_batching allow_version_labels_for_unavailable_models
    batching_parameters_file enable_per_model_batching_parameters model_config_file
    model_config_file_poll_wait_seconds model_name model_base_path num_load_threads num_unload_threads
    max_num_load_retries load_retry_interval_micros file_system_poll_wait_seconds
    flush_filesystem_caches tensorflow_session_parallelism tensorflow_session_config_file
    tensorflow_intra_op_parallelism tensorflow_inter_op_parallelism use_alts_credentials ssl_config_file
    platform_config_file per_process_gpu_memory_fraction saved_model_tags grpc_channel_arguments
    grpc_max_threads enable_model_warmup num_request_iterations_for_warmup version
    monitoring_config_file remove_unused_fields_from_bundle_metagraph prefer_tflite_model
    num_tflite_pools num_tflite_interpreters_per_pool enable_signature_method_name_check
    xla_cpu_compilation_enabled xla_gpu_compilation_enabled enable_profiler
    thread_pool_factory_config_file mixed_precision skip_initialize_tpu enable_grpc_healthcheck_service
    enable_serialization_as_tensor_content
    """.split()  # noqa: SIM905 - fifty names read better so
)


@pytest.mark.parametrize("name", OFFICIAL)
def test_every_official_flag_is_known_and_told_of(name: str) -> None:
    assert any(flag.name == name and not flag.metadata["ours"] for flag in every_flag())
    assert f"--{name}=" in usage()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--port=1", "--model_name", "m"], Options(port=1, model_name="m")),
        (["-port=1"], Options(port=1)),
        (["--enable_batching"], Options(enable_batching=True)),
        (["--enable_batching=true", "--port=2"], Options(enable_batching=True, port=2)),
        (["--enable_batching=false"], Options()),
        (["--enable_batching", "false"], Options()),
        (["--enable_batching", "--port", "3"], Options(enable_batching=True, port=3)),
        (["--noenable_model_warmup"], Options(enable_model_warmup=False)),
        (["--model_name="], Options(model_name="")),
        (["--file_system_poll_wait_seconds=-1"], Options(file_system_poll_wait_seconds=-1)),
        (["--load_retry_interval_micros", "-5"], Options(load_retry_interval_micros=-5)),
        (["--per_process_gpu_memory_fraction=0.5"], Options(per_process_gpu_memory_fraction=0.5)),
        (["--port=1", "--port=2"], Options(port=2)),
    ],
)
def test_forms(arguments: list[str], expected: Options) -> None:
    assert parse(arguments)[0] == expected


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--prot=1", "unknown argument: --prot=1"),
        ("--noport", "unknown argument: --noport"),
        ("8500", "unknown argument: 8500"),
        ("--port=x", "--port=x: expected a number"),
        ("--port=70000", "--port=70000: expected a port, 0 to 65535"),
        ("--num_load_threads=2147483648", "expected a number from -2147483648 to 2147483647"),
        (
            "--load_retry_interval_micros=9223372036854775808",
            "expected a number from -9223372036854775808 to",
        ),
        ("--shutdown_grace_seconds=inf", "expected a number from 0 to 1000000"),
        ("--shutdown_grace_seconds=nan", "expected a number from 0 to 1000000"),
        ("--enable_batching=maybe", "--enable_batching=maybe: expected true or false"),
        ("--noenable_batching=true", "--noenable_batching takes no value; --enable_batching=true does"),
        ("--model_name", "--model_name needs a value: Name of the model"),
    ],
)
def test_faults(argument: str, message: str) -> None:
    with pytest.raises(FlagError) as caught:
        parse([argument])
    assert message in str(caught.value)


def test_flags_without_effect_are_taken_with_a_warning() -> None:
    options, warnings = parse(["--use_alts_credentials", "--port=1"])
    assert options.use_alts_credentials
    assert warnings == ["--use_alts_credentials has no effect here: ALTS exists inside Google Cloud only"]


def test_help() -> None:
    with pytest.raises(HelpRequested):
        parse(["--port=1", "--help"])


def test_threads_unless_told() -> None:
    assert Options().grpc_threads == Options().rest_threads == 4 * len(os.sched_getaffinity(0))
    assert Options(grpc_max_threads=3).grpc_threads == 3
