"""Counters and histograms under the official names, in the official exporter's text.

A Prometheus client library renames counters (`…_total`) and adds samples of its own; whoever has dashboards
for the official server needs exactly its names.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator, Sequence
from typing import Final

Labels = tuple[str, ...]

# Scale of 10, power of 1.8, 33 of them, in microseconds: from 10 us to about 20 minutes.
LATENCY_BUCKETS: Final = tuple(10 * 1.8**power for power in range(33))
# 1, 2, 4 ... 16384
EXAMPLE_BUCKETS: Final = tuple(2.0**power for power in range(15))
MICROSECONDS: Final = 1e6  # in a second


def _name(path: str) -> str:
    return path.replace("/", ":")


def _pairs(names: Sequence[str], values: Labels) -> list[str]:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for value in values)
    return [f'{name}="{value}"' for name, value in zip(names, escaped, strict=True)]


class Counter:
    """A number that only grows, for each combination of labels."""

    def __init__(self, path: str, *labels: str) -> None:
        self._path = path
        self._labels = labels
        self._lock = threading.Lock()
        self._values: dict[Labels, int] = {}

    def add(self, *labels: str, amount: int = 1) -> None:
        """Count."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + amount

    def lines(self) -> Iterator[str]:
        """The exposition text."""
        with self._lock:
            values = sorted(self._values.items())
        if values:
            yield f"# TYPE {_name(self._path)} counter"
        for labels, value in values:
            yield f"{_name(self._path)}{{{','.join(_pairs(self._labels, labels))}}} {value}"


class Histogram:
    """A distribution, for each combination of labels."""

    def __init__(self, path: str, *labels: str, buckets: tuple[float, ...] = LATENCY_BUCKETS) -> None:
        self._path = path
        self._labels = labels
        self._buckets = buckets
        self._lock = threading.Lock()
        self._values: dict[Labels, tuple[list[int], list[float]]] = {}

    def add(self, value: float, *labels: str) -> None:
        """Add one observation."""
        place = bisect.bisect_right(self._buckets, value)
        with self._lock:
            found = self._values.get(labels)
            if found is None:
                found = self._values[labels] = ([0] * (len(self._buckets) + 1), [0.0])
            found[0][place] += 1
            found[1][0] += value

    def lines(self) -> Iterator[str]:
        """The exposition text."""
        with self._lock:
            values = sorted(
                (labels, list(counts), total[0]) for labels, (counts, total) in self._values.items()
            )
        name = _name(self._path)
        if values:
            yield f"# TYPE {name} histogram"
        for labels, counts, total in values:
            pairs = _pairs(self._labels, labels)
            cumulative = 0
            for limit, count in zip((*self._buckets, None), counts, strict=True):
                cumulative += count
                bound = "+Inf" if limit is None else f"{limit:g}"
                inner = ",".join([*pairs, f'le="{bound}"'])
                yield f"{name}_bucket{{{inner}}} {cumulative}"
            inner = ",".join(pairs)
            yield f"{name}_sum{{{inner}}} {total:g}"
            yield f"{name}_count{{{inner}}} {cumulative}"


class Metrics:
    """Everything that the server counts."""

    def __init__(self) -> None:
        serving = "/tensorflow/serving/"
        self.request_count = Counter(serving + "request_count", "model_name", "status")
        self.request_latency = Histogram(serving + "request_latency", "model_name", "API", "entrypoint")
        self.runtime_latency = Histogram(serving + "runtime_latency", "model_name", "API", "runtime")
        self.example_counts = Histogram(serving + "request_example_counts", "model", buckets=EXAMPLE_BUCKETS)
        self.example_count_total = Counter(serving + "request_example_count_total", "model")
        self.warmup_latency = Histogram(serving + "model_warmup_latency", "model_path", "status")
        batching = serving + "batching_session/"
        self.queuing_latency = Histogram(batching + "queuing_latency", "thread_pool_name")
        self.input_batch_size = Histogram(batching + "input_batch_size", buckets=EXAMPLE_BUCKETS)
        self.processed_batch_size = Histogram(batching + "processed_batch_size", buckets=EXAMPLE_BUCKETS)
        self.padding_size = Histogram(
            batching + "padding_size", "execution_batch_size", buckets=EXAMPLE_BUCKETS
        )
        self.wrapped_run_count = Counter(batching + "wrapped_run_count")
        self.load_attempt_count = Counter(
            "/tensorflow/cc/saved_model/load_attempt_count", "model_path", "status"
        )
        self.load_latency = Counter("/tensorflow/cc/saved_model/load_latency", "model_path")

    def page(self) -> str:
        """The whole exposition text."""
        lines = [line for metric in vars(self).values() for line in metric.lines()]
        return "\n".join(lines) + "\n"
