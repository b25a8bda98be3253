"""Whoever arrives when and with what: nobody can tell that his request was joined with others."""

from __future__ import annotations

import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.batch_sessions import LONG_S, Bench

from sightline_serving.model_server.batch_scheduler import BatchingOptions
from sightline_serving.model_server.batching import BatchingSession
from sightline_serving.model_server.metrics import Metrics


@settings(max_examples=30)
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
