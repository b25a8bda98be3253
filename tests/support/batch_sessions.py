"""A batching session over a session that only doubles, and calls to it that a test can hold up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from sightline_serving.model_server.batch_scheduler import BatchingOptions, BatchScheduler
from sightline_serving.model_server.batching import BatchingSession
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
    """What a call that must fail is refused with."""
    try:
        call()
    except StatusError as fault:
        return fault.code, fault.message
    raise AssertionError("the call was answered")


def wait_until(what: Callable[[], bool]) -> None:
    """Return once it is so."""
    end = time.monotonic() + LONG_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.001)


def enqueued(bench: Bench) -> int:
    """Tasks that wait for their batch to run."""
    return sum(len(batch.tasks) for queue in bench.scheduler._queues for batch in queue._batches)
