"""The batching parameters file: what it means, and what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sightline_serving.model_server.batch_scheduler import BatchingOptions
from sightline_serving.model_server.batching_files import read_batching
from sightline_serving.model_server.status import StatusError

FULL = """
max_batch_size { value: 32 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 7 }
num_batch_threads { value: 3 }
thread_pool_name { value: "pool" }
allowed_batch_sizes: 8
allowed_batch_sizes: 16
pad_variable_length_inputs: true
enable_large_batch_splitting { value: true }
max_execution_batch_size { value: 16 }
"""


def test_every_parameter(tmp_path: Path) -> None:
    file = tmp_path / "batching.config"
    file.write_text(FULL)
    options, threads = read_batching(str(file))
    assert options == BatchingOptions(
        max_batch_size=32,
        max_execution_batch_size=16,
        timeout=0.002,
        max_enqueued_batches=7,
        allowed_batch_sizes=(8, 16),
        pad_variable_length_inputs=True,
        split_large_batches=True,
    )
    assert (threads.count, threads.name) == (3, "pool")


def test_the_defaults() -> None:
    options, threads = read_batching("")
    assert options == BatchingOptions()
    assert (threads.count, threads.name) == (os.cpu_count(), "model_server_batch_threads")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: 4",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8",
        ),
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: 8 allowed_batch_sizes: 4",
            "allowed_batch_sizes entries must be monotonically increasing",
        ),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was negative"),
        (
            "max_batch_sizes { value: 8 }",
            "Error parsing text-format tensorflow.serving.BatchingParameters: 1:1: Message type "
            '"tensorflow.serving.BatchingParameters" has no field named "max_batch_sizes". Invalid',
        ),
    ],
)
def test_unsound_files(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "batching.config"
    file.write_text(text)
    with pytest.raises(StatusError) as caught:
        read_batching(str(file))
    assert complaint in caught.value.message


def test_a_missing_file() -> None:
    with pytest.raises(StatusError) as caught:
        read_batching("/no/such/file")
    assert str(caught.value) == "NOT_FOUND: /no/such/file; No such file or directory"
