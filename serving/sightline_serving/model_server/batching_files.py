"""The batching parameters file -> options, checked as the official server checks them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sightline_serving.model_server.batch_scheduler import DEFAULT_MAX_BATCH_SIZE, BatchingOptions
from sightline_serving.model_server.config_files import read_text_proto
from sightline_serving.model_server.metrics import MICROSECONDS
from sightline_serving.model_server.status import invalid_argument
from sightline_serving.model_server.wire import serving_config_pb2

DEFAULT_POOL_NAME = "model_server_batch_threads"


@dataclass(frozen=True, slots=True)
class BatchThreads:
    """The pool that runs the batches of all models."""

    count: int
    name: str = DEFAULT_POOL_NAME


def read_batching(file: str) -> tuple[BatchingOptions, BatchThreads]:
    """What a batching parameters file says; the defaults for an empty name.

    Raises:
        StatusError: the file is missing, unsound, or asks for what cannot be.
    """
    message = serving_config_pb2.BatchingParameters()
    if file:
        read_text_proto(file, message)
    threads = (
        message.num_batch_threads.value if message.HasField("num_batch_threads") else os.cpu_count() or 1
    )
    if threads < 1:
        raise invalid_argument(f"num_batch_threads must be positive; was {threads}")
    name = message.thread_pool_name.value if message.HasField("thread_pool_name") else DEFAULT_POOL_NAME
    return _options(message), BatchThreads(threads, name)


def _options(message: serving_config_pb2.BatchingParameters) -> BatchingOptions:
    limit = message.max_batch_size.value if message.HasField("max_batch_size") else DEFAULT_MAX_BATCH_SIZE
    options = BatchingOptions(
        max_batch_size=limit,
        max_execution_batch_size=limit,
        timeout=message.batch_timeout_micros.value / MICROSECONDS,
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        pad_variable_length_inputs=message.pad_variable_length_inputs,
        split_large_batches=message.enable_large_batch_splitting.value,
    )
    if message.HasField("max_enqueued_batches"):
        options = replace(options, max_enqueued_batches=message.max_enqueued_batches.value)
    if options.split_large_batches and message.HasField("max_execution_batch_size"):
        options = replace(options, max_execution_batch_size=message.max_execution_batch_size.value)
    _check(options)
    return options


def _check(options: BatchingOptions) -> None:
    for name in ("max_batch_size", "max_execution_batch_size", "max_enqueued_batches"):
        value = getattr(options, name)
        if value < 1:
            raise invalid_argument(f"{name} must be positive; was {value}")
    if options.timeout < 0:
        raise invalid_argument("batch_timeout_micros must be non-negative; was negative")
    if options.max_execution_batch_size > options.max_batch_size:
        raise invalid_argument(
            f"max_batch_size ({options.max_batch_size}) must be greater than or equal to "
            f"max_execution_batch_size ({options.max_execution_batch_size})"
        )
    _check_allowed(options.allowed_batch_sizes, options)


def _check_allowed(allowed: Sequence[int], options: BatchingOptions) -> None:
    if not allowed:
        return
    if any(later <= earlier for earlier, later in pairwise(allowed)):
        raise invalid_argument("allowed_batch_sizes entries must be monotonically increasing")
    if options.split_large_batches and allowed[-1] != options.max_execution_batch_size:
        raise invalid_argument(
            "Last entry in allowed_batch_sizes must be equal to max_execution_batch_size; last entry was "
            f"{allowed[-1]}; expected {options.max_execution_batch_size}"
        )
    if not options.split_large_batches and allowed[-1] != options.max_batch_size:
        raise invalid_argument(
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
            f"{allowed[-1]}; expected {options.max_batch_size}"
        )
