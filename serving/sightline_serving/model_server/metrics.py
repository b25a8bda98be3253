"""Counters and histograms under the official names, in the official exporter's text.

A Prometheus client library renames counters (`…_total`) and adds samples of its own; whoever has dashboards
for the official server needs exactly its names.
"""

from __future__ import annotations

import bisect
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

Labels = tuple[str, ...]

# Scale of 10, power of 1.8, 33 of them, in microseconds: from 10 us to about 20 minutes.
LATENCY_BUCKETS: Final = tuple(10 * 1.8**power for power in range(33))
# 1, 2, 4 ... 16384
EXAMPLE_BUCKETS: Final = tuple(2.0**power for power in range(15))
# Scale of 100, power of 1.2, 52 of them, in microseconds: from 0.1 ms to about a second.
QUEUING_BUCKETS: Final = tuple(100 * 1.2**power for power in range(52))
MICROSECONDS: Final = 1e6  # in a second
UNBOOKED: Final = 512  # observations of a metric that may wait


def _pairs(names: Sequence[str], values: Labels) -> list[str]:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for value in values)
    return [f'{name}="{value}"' for name, value in zip(names, escaped, strict=True)]


class Metric(ABC):
    """What all metrics share: a name, labels, and news that are booked several at a time.

    A request only notes what it has to tell. Booked at once, when a picture has washed everything else out of
    the processor's caches, it would cost several times what it costs in a row.
    """

    kind = ""  # in the exposition text

    def __init__(self, path: str, *labels: str) -> None:
        self.name = path.replace("/", ":")
        self.labels = labels
        self._lock = threading.Lock()
        self._news: deque[tuple[float, Labels]] = deque()

    def _note(self, value: float, labels: Labels) -> None:
        self._news.append((value, labels))
        if len(self._news) > UNBOOKED:
            self._settle()

    def _settle(self) -> None:
        """Book what was noted so far."""
        with self._lock:
            for _ in range(len(self._news)):  # what comes meanwhile can wait
                self._book(*self._news.popleft())

    @abstractmethod
    def _book(self, value: float, labels: Labels) -> None:
        """Take in one piece of news."""

    @abstractmethod
    def _samples(self) -> Iterator[str]:
        """The exposition text, without its head."""

    def lines(self) -> Iterator[str]:
        """The exposition text; none before there is something to tell."""
        self._settle()
        with self._lock:
            samples = list(self._samples())
        if samples:
            yield f"# TYPE {self.name} {self.kind}"
        yield from samples


class Counter(Metric):
    """A number that only grows, for each combination of labels."""

    kind = "counter"

    def __init__(self, path: str, *labels: str) -> None:
        super().__init__(path, *labels)
        self._values: dict[Labels, int] = {}

    def add(self, *labels: str, amount: int = 1) -> None:
        """Count."""
        self._note(amount, labels)

    def _book(self, value: float, labels: Labels) -> None:
        self._values[labels] = self._values.get(labels, 0) + int(value)

    def _samples(self) -> Iterator[str]:
        for labels, value in sorted(self._values.items()):
            yield f"{self.name}{{{','.join(_pairs(self.labels, labels))}}} {value}"


class Histogram(Metric):
    """A distribution, for each combination of labels."""

    kind = "histogram"

    def __init__(self, path: str, *labels: str, buckets: tuple[float, ...] = LATENCY_BUCKETS) -> None:
        super().__init__(path, *labels)
        self._buckets = buckets
        self._values: dict[Labels, tuple[list[int], list[float]]] = {}

    def add(self, value: float, *labels: str) -> None:
        """Add one observation."""
        self._note(value, labels)

    def _book(self, value: float, labels: Labels) -> None:
        found = self._values.get(labels)
        if found is None:
            found = self._values[labels] = ([0] * (len(self._buckets) + 1), [0.0])
        found[0][bisect.bisect_right(self._buckets, value)] += 1
        found[1][0] += value

    def _samples(self) -> Iterator[str]:
        name = self.name
        for labels, (counts, total) in sorted(self._values.items()):
            pairs = _pairs(self.labels, labels)
            cumulative = 0
            for limit, count in zip((*self._buckets, None), counts, strict=True):
                cumulative += count
                bound = "+Inf" if limit is None else f"{limit:g}"
                inner = ",".join([*pairs, f'le="{bound}"'])
                yield f"{name}_bucket{{{inner}}} {cumulative}"
            inner = ",".join(pairs)
            yield f"{name}_sum{{{inner}}} {total[0]:g}"
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
        self.queuing_latency = Histogram(
            batching + "queuing_latency", "thread_pool_name", buckets=QUEUING_BUCKETS
        )
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

    def every(self) -> tuple[Metric, ...]:
        """All of them, in the order of the page."""
        return tuple(vars(self).values())

    def page(self) -> str:
        """The whole exposition text."""
        lines = [line for metric in self.every() for line in metric.lines()]
        return "\n".join(lines) + "\n"
