"""What is joined, padded and split."""

from __future__ import annotations

import numpy as np
from support.batch_sessions import LONG_S, Bench, enqueued, wait_until

from sightline_serving.model_server.batching import pad_to_common_shape


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


def test_large_requests_are_split_and_put_together() -> None:
    options = {"max_batch_size": 10, "max_execution_batch_size": 4, "split_large_batches": True}
    with Bench(**options) as bench:
        x = np.arange(10.0).reshape(10, 1)
        np.testing.assert_array_equal(bench.call(x), x * 2)
        assert sorted(bench.inner.shapes) == [(2, 1), (4, 1), (4, 1)]


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
