"""A session that joins concurrent runs into batches: concatenate, pad, run once, split.

As the official BatchingSession, but for one thing: there, one request that cannot be run fails all requests
that happened to be in its batch. Here the others are answered: requests of different shapes are run apart,
and if a joint run fails, each of its requests is run on its own.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from sightline_serving.model_server.batch_scheduler import (
    BatchingOptions,
    BatchQueue,
    BatchScheduler,
    Task,
)
from sightline_serving.model_server.call_threads import Aside
from sightline_serving.model_server.metrics import MICROSECONDS, Metrics
from sightline_serving.model_server.sessions import Array, Session
from sightline_serving.model_server.status import (
    Code,
    StatusError,
    failed_precondition,
    internal,
    invalid_argument,
)


class BatchingSession:
    """Wraps a session; each combination of inputs and outputs has a queue of its own."""

    def __init__(
        self, session: Session, options: BatchingOptions, scheduler: BatchScheduler, metrics: Metrics
    ) -> None:
        self._session = session
        self._options = options
        self._scheduler = scheduler
        self._metrics = metrics
        self._lock = threading.Lock()
        self._queues: dict[Hashable, BatchQueue] = {}

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str], timeout: float | None) -> list[Array]:
        """As `Session.run`; every input and output must have the batch as its first dimension."""
        size = _batch_size(feeds)
        self._metrics.input_batch_size.add(size)
        if not size:  # nothing to join, and nothing to pad with
            return self._session.run(feeds, fetches, timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        queue = self._queue(tuple(sorted(feeds)), tuple(fetches))

        def make_tasks(open_slots: int) -> list[Task]:
            if not self._options.split_large_batches or size <= open_slots:
                return [Task(dict(feeds), size, deadline)]
            return _split(feeds, size, deadline, open_slots, self._options.max_execution_batch_size)

        tasks = self._scheduler.schedule(queue, size, make_tasks)
        with Aside():
            parts = [_await(task) for task in tasks]
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]

    def close(self) -> None:
        with self._lock:
            for queue in self._queues.values():
                self._scheduler.remove_queue(queue)
            self._queues.clear()
        self._session.close()

    def _queue(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> BatchQueue:
        key = (feeds, fetches)
        queue = self._queues.get(key)
        if queue is None:
            with self._lock:
                queue = self._queues.get(key)
                if queue is None:
                    queue = BatchQueue(self._options, lambda tasks: self._process(tasks, fetches))
                    self._scheduler.add_queue(queue)
                    self._queues[key] = queue
        return queue

    # --- in a batch thread ------------------------------------------------------------------------

    def _process(self, tasks: Sequence[Task], fetches: tuple[str, ...]) -> None:
        now = time.monotonic()
        alive = []
        for task in tasks:
            self._metrics.queuing_latency.add((now - task.enqueued) * MICROSECONDS, self._scheduler.name)
            if task.expired(now):
                task.fail(_too_late())
            else:
                alive.append(task)
        for group in self._groups(alive):
            self._run_group(group, fetches)

    def _groups(self, tasks: Sequence[Task]) -> list[list[Task]]:
        """Tasks that can be concatenated, together."""
        groups: dict[Hashable, list[Task]] = {}
        for task in tasks:
            key = tuple(
                (name, array.dtype.str, array.ndim if self._can_pad(array) else array.shape[1:])
                for name, array in sorted(task.feeds.items())
            )
            groups.setdefault(key, []).append(task)
        return list(groups.values())

    def _can_pad(self, array: Array) -> bool:
        return self._options.pad_variable_length_inputs and array.size > 0

    def _run_group(self, group: list[Task], fetches: tuple[str, ...]) -> None:
        try:
            answers = self._run_together(group, fetches)
        except StatusError as fault:
            if len(group) == 1:
                group[0].fail(fault)
                return
            for task in group:
                self._run_group([task], fetches)
        except Exception as fault:  # a thread that died here would leave its callers waiting for ever
            for task in group:
                task.fail(internal(f"{type(fault).__name__}: {fault}"))
        else:
            for task, answer in zip(group, answers, strict=True):
                task.finish(answer)

    def _run_together(self, group: list[Task], fetches: tuple[str, ...]) -> list[list[Array]]:
        """The outputs of each task, from one run."""
        size = sum(task.size for task in group)
        padded_size = self._options.rounded(size)
        self._metrics.processed_batch_size.add(padded_size)
        self._metrics.padding_size.add(padded_size - size, str(padded_size))
        feeds = {name: self._merge(name, group, padded_size - size) for name in group[0].feeds}
        outputs = self._session.run(feeds, fetches, _time_left(group))
        self._metrics.wrapped_run_count.add()
        for output in outputs:
            if not output.ndim:
                raise failed_precondition("Batched output tensor has 0 dimensions")
            if output.shape[0] != padded_size:
                raise failed_precondition(
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes "
                    "of the input tensors"
                )
        if len(group) == 1 and padded_size == size:
            return [outputs]
        ends = list(itertools.accumulate(task.size for task in group))
        return [
            [output[end - task.size : end] for output in outputs]
            for task, end in zip(group, ends, strict=True)
        ]

    def _merge(self, name: str, group: list[Task], padding: int) -> Array:
        arrays = [task.feeds[name] for task in group]
        if self._options.pad_variable_length_inputs:
            arrays = pad_to_common_shape(arrays)
        # The first row of the last task pads the batch: it is sure to be a row that the model takes.
        arrays += [arrays[-1][:1]] * padding
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def pad_to_common_shape(arrays: Sequence[Array]) -> list[Array]:
    """Arrays of one rank, grown at the far ends to the largest size of each dimension but the first.

    Each is filled with its own first element, as the official server does.
    """
    shape = [max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True)]
    padded = []
    for array in arrays:
        if list(array.shape[1:]) == shape:
            padded.append(array)
            continue
        grown = np.full((array.shape[0], *shape), array.flat[0], array.dtype)
        grown[tuple(slice(size) for size in array.shape)] = array
        padded.append(grown)
    return padded


def _batch_size(feeds: Mapping[str, Array]) -> int:
    if not feeds:
        raise invalid_argument("Batching Run() must have at least one input tensor")
    sizes = []
    for _, array in sorted(feeds.items()):
        if not array.ndim:
            raise invalid_argument("Batching Run() input tensors must have at least one dimension")
        sizes.append(array.shape[0])
    if len(set(sizes)) > 1:
        raise invalid_argument("Batching Run() input tensors must have equal 0th-dimension size")
    return int(sizes[0])


def _split(
    feeds: Mapping[str, Array], size: int, deadline: float | None, first: int, rest: int
) -> list[Task]:
    """A large request as tasks: the first fills the open batch, the others are as large as a batch may be."""
    starts = [0, *range(first, size, rest)] if first else list(range(0, size, rest))
    return [
        Task({name: array[start:end] for name, array in feeds.items()}, end - start, deadline)
        for start, end in itertools.pairwise([*starts, size])
    ]


def _await(task: Task) -> list[Array]:
    patience = None if task.deadline is None else task.deadline - time.monotonic()
    if not task.done.wait(patience):
        raise _too_late()
    if task.error is not None:
        raise task.error
    return task.outputs or []


def _too_late() -> StatusError:
    return StatusError(Code.RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue")


def _time_left(group: Sequence[Task]) -> float | None:
    """Seconds until the most patient caller gives up."""
    deadlines = [task.deadline for task in group]
    if any(deadline is None for deadline in deadlines):
        return None
    return max(0.001, max(deadline for deadline in deadlines if deadline is not None) - time.monotonic())
