"""Batching: what is joined, what is refused, and that nobody can tell."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline_serving.model_server.batch_scheduler import BatchingOptions, BatchScheduler
from sightline_serving.model_server.batching import BatchingSession, pad_to_common_shape
from sightline_serving.model_server.metrics import Metrics
from sightline_serving.model_server.status import Code, StatusError, invalid_argument

LONG_S = 30.0


class Doubling:
    """A session that doubles `x` and notes what it ran; rows that begin with a negative number are poison."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)

    def run(self, feeds: Mapping[str, Any], fetches: Sequence[str], timeout: float | None) -> list[Any]:
        self.entered.release()
        assert self.gate.wait(LONG_S)
        x = feeds["x"]
        self.shapes.append(x.shape)
        if x.size and x.reshape(len(x), -1)[:, 0].min() < 0:
            raise invalid_argument("poison")
        return [x * 2 for _ in fetches]

    def close(self) -> None:
        self.shapes.clear()


class Bench:
    """A batching session over a `Doubling`, and calls at the same time."""

    def __init__(self, threads: int = 1, **options: Any) -> None:
        self.inner = Doubling()
        self.scheduler = BatchScheduler(threads)
        self.session = BatchingSession(self.inner, BatchingOptions(**options), self.scheduler, Metrics())
        self.callers = ThreadPoolExecutor(64)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.inner.gate.set()
        self.callers.shutdown()
        self.session.close()
        self.scheduler.close()

    def call(self, x: Any, timeout: float | None = LONG_S) -> Any:
        (y,) = self.session.run({"x": np.asarray(x, np.float32)}, ["y"], timeout)
        return y

    def later(self, x: Any, timeout: float | None = LONG_S) -> Any:
        return self.callers.submit(self.call, x, timeout)

    def occupy(self) -> Any:
        """Keep the one batch thread busy, with a batch of one row, until the gate opens."""
        self.inner.gate.clear()
        held = self.later([[0.0]])
        assert self.inner.entered.acquire(timeout=LONG_S)
        return held


def failure(call: Callable[[], Any]) -> tuple[Code, str]:
    with pytest.raises(StatusError) as caught:
        call()
    return caught.value.code, caught.value.message


def wait_until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.001)


def enqueued(bench: Bench) -> int:
    return sum(len(batch.tasks) for queue in bench.scheduler._queues for batch in queue._batches)


def test_what_waits_together_runs_together() -> None:
    with Bench(max_batch_size=8, max_execution_batch_size=8) as bench:
        held = bench.occupy()
        waiting = [bench.later([[float(value)]]) for value in range(5)]
        wait_until(lambda: enqueued(bench) == 5)
        bench.inner.gate.set()
        assert [future.result().tolist() for future in waiting] == [[[value * 2.0]] for value in range(5)]
        held.result()
        assert bench.inner.shapes == [(1, 1), (5, 1)]


def test_a_full_batch_does_not_wait() -> None:
    with Bench(max_batch_size=4, max_execution_batch_size=4, timeout=LONG_S) as bench:
        waiting = [bench.later([[1.0]]) for _ in range(4)]
        for future in waiting:
            future.result(LONG_S / 2)
        assert bench.inner.shapes == [(4, 1)]


def test_batches_are_padded_to_an_allowed_size_with_a_sound_row() -> None:
    with Bench(max_batch_size=8, max_execution_batch_size=8, allowed_batch_sizes=(2, 8)) as bench:
        assert bench.call([[1.0], [2.0], [3.0]]).tolist() == [[2.0], [4.0], [6.0]]
        assert bench.call([[1.0]]).tolist() == [[2.0]]
        assert bench.inner.shapes == [(8, 1), (2, 1)]


def test_an_empty_batch_is_run_as_it_is() -> None:
    with Bench(max_batch_size=8, max_execution_batch_size=8, allowed_batch_sizes=(2, 8)) as bench:
        assert bench.call(np.zeros((0, 1))).shape == (0, 1)
        assert bench.inner.shapes == [(0, 1)]


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


def test_large_requests_are_split_and_put_together() -> None:
    options = {"max_batch_size": 10, "max_execution_batch_size": 4, "split_large_batches": True}
    with Bench(**options) as bench:
        x = np.arange(10.0).reshape(10, 1)
        np.testing.assert_array_equal(bench.call(x), x * 2)
        assert sorted(bench.inner.shapes) == [(2, 1), (4, 1), (4, 1)]


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


def test_variable_lengths_are_padded_when_asked() -> None:
    options = {"max_batch_size": 8, "max_execution_batch_size": 8, "pad_variable_length_inputs": True}
    with Bench(**options) as bench:
        bench.occupy()
        short, long = bench.later([[5.0]]), bench.later([[1.0, 2.0, 3.0]])
        wait_until(lambda: enqueued(bench) == 2)
        bench.inner.gate.set()
        assert short.result().tolist() == [[10.0, 10.0, 10.0]]  # padded with its own first element
        assert long.result().tolist() == [[2.0, 4.0, 6.0]]
        assert bench.inner.shapes[-1] == (2, 3)


def test_padding_keeps_strings_strings() -> None:
    short, long = pad_to_common_shape(
        [np.array([[b"a"]], object), np.array([[b"b", b"c"], [b"d", b"e"]], object)]
    )
    assert short.tolist() == [[b"a", b"a"]]
    assert long.tolist() == [[b"b", b"c"], [b"d", b"e"]]


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


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 6), min_size=1, max_size=24),
    widths=st.lists(st.integers(1, 2), min_size=24, max_size=24),
    split=st.booleans(),
    allowed=st.sampled_from([(), (4,), (1, 2, 4), (3, 4)]),
    threads=st.integers(1, 3),
    timeout=st.sampled_from([0.0, 0.002]),
    pauses=st.lists(st.sampled_from([0.0, 0.0, 0.001]), min_size=24, max_size=24),
)
def test_nobody_can_tell(
    *,
    sizes: list[int],
    widths: list[int],
    split: bool,
    allowed: tuple[int, ...],
    threads: int,
    timeout: float,
    pauses: list[float],
) -> None:
    """Random arrivals of random sizes and shapes get the answers that they would have got alone."""
    limit = 6 if split else 4
    options = BatchingOptions(
        max_batch_size=limit,
        max_execution_batch_size=4,
        timeout=timeout,
        max_enqueued_batches=100,
        allowed_batch_sizes=allowed,
        split_large_batches=split,
    )
    rng = np.random.default_rng(0)
    with Bench(threads) as bench:
        session = BatchingSession(bench.inner, options, bench.scheduler, Metrics())
        requests = [
            rng.random((min(size, limit), width), np.float32)
            for size, width in zip(sizes, widths, strict=False)
        ]
        futures = []
        for request, pause in zip(requests, pauses, strict=False):
            futures.append(bench.callers.submit(session.run, {"x": request}, ["y"], LONG_S))
            time.sleep(pause)
        for request, future in zip(requests, futures, strict=True):
            np.testing.assert_array_equal(future.result()[0], request * 2)
        assert all(shape[0] <= 4 for shape in bench.inner.shapes)
        if allowed:
            assert {shape[0] for shape in bench.inner.shapes} <= {0, *allowed}
        session.close()
