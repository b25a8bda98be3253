"""What batching refuses, in the official words; and that nobody fails for his neighbour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.batch_sessions import LONG_S, Bench, enqueued, failure, wait_until

from sightline_serving.model_server.status import Code


def test_a_request_over_the_limit() -> None:
    with Bench(max_batch_size=8, max_execution_batch_size=8) as bench:
        assert failure(lambda: bench.call(np.zeros((9, 1)))) == (
            Code.INVALID_ARGUMENT,
            "Task size 9 is larger than maximum input batch size 8",
        )


def test_a_full_queue() -> None:
    with Bench(max_batch_size=2, max_execution_batch_size=2, max_enqueued_batches=1) as bench:
        bench.occupy()
        waiting = bench.later(np.zeros((2, 1)))
        wait_until(lambda: enqueued(bench) == 1)
        assert failure(lambda: bench.call([[1.0]])) == (
            Code.UNAVAILABLE,
            "The batch scheduling queue to which this task was submitted is full; currently 1 "
            "batches enqueued "
            "and max_enqueued_batches is 1",
        )
        bench.inner.gate.set()
        assert waiting.result().shape == (2, 1)


def test_splitting_fills_the_open_batch_and_knows_its_capacity() -> None:
    options = {"max_batch_size": 10, "max_execution_batch_size": 4, "split_large_batches": True}
    with Bench(max_enqueued_batches=2, **options) as bench:
        bench.occupy()
        first = bench.later([[1.0]])
        wait_until(lambda: enqueued(bench) == 1)
        second = bench.later(np.ones((5, 1)))
        wait_until(lambda: enqueued(bench) == 3)
        assert failure(lambda: bench.call(np.ones((3, 1)))) == (
            Code.UNAVAILABLE,
            "The batch scheduling queue to which this task was submitted is full; task size is "
            "3 but scheduling "
            "capacity is only 2 (num_enqueued_batches=2, max_enqueued_batches=2, open_batch_size=2, "
            "max_execution_batch_size=4)",
        )
        bench.inner.gate.set()
        assert (first.result().shape, second.result().shape) == ((1, 1), (5, 1))
        assert bench.inner.shapes[1:] == [(4, 1), (2, 1)]


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "Batching Run() must have at least one input tensor"),
        ({"x": np.float32(1)}, "Batching Run() input tensors must have at least one dimension"),
        (
            {"x": np.zeros(1), "z": np.zeros(2)},
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
    ],
)
def test_inputs_that_cannot_be_batched(feeds: dict[str, Any], message: str) -> None:
    with Bench() as bench:
        assert failure(lambda: bench.session.run(feeds, ["y"], None)) == (Code.INVALID_ARGUMENT, message)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (np.float32(1), "Batched output tensor has 0 dimensions"),
        (
            np.zeros(3, np.float32),
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "
            "input tensors",
        ),
    ],
)
def test_outputs_that_cannot_be_split(output: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Bench() as bench:
        monkeypatch.setattr(bench.inner, "run", lambda *_: [output])
        assert failure(lambda: bench.call([[1.0]])) == (Code.FAILED_PRECONDITION, message)


def test_a_bad_request_fails_alone() -> None:
    with Bench(max_batch_size=8, max_execution_batch_size=8) as bench:
        bench.occupy()
        good = [bench.later([[1.0]]), bench.later([[2.0]])]
        bad = bench.later([[-1.0]])
        wait_until(lambda: enqueued(bench) == 3)
        bench.inner.gate.set()
        assert [future.result().tolist() for future in good] == [[[2.0]], [[4.0]]]
        assert failure(bad.result) == (Code.INVALID_ARGUMENT, "poison")


def test_another_shape_or_type_fails_nobody() -> None:
    with Bench(max_batch_size=8, max_execution_batch_size=8) as bench:
        bench.occupy()
        narrow, wide = bench.later([[1.0]]), bench.later([[1.0, 2.0]])
        whole = bench.callers.submit(
            lambda: bench.session.run({"x": np.array([[3]], np.int64)}, ["y"], LONG_S)[0]
        )
        wait_until(lambda: enqueued(bench) == 3)
        bench.inner.gate.set()
        assert narrow.result().tolist() == [[2.0]]
        assert wide.result().tolist() == [[2.0, 4.0]]
        assert whole.result().dtype == np.int64


def test_a_deadline_counts_while_it_waits() -> None:
    with Bench(max_batch_size=8, max_execution_batch_size=8) as bench:
        held = bench.occupy()
        patient = bench.later([[1.0]])
        assert failure(lambda: bench.call([[2.0]], timeout=0.05)) == (
            Code.RESOURCE_EXHAUSTED,
            "Run() timeout exceeded while waiting in batching queue",
        )
        bench.inner.gate.set()
        assert patient.result().tolist() == [[2.0]]
        held.result()
        assert bench.inner.shapes == [(1, 1), (1, 1)]  # the row that nobody waits for was not run
