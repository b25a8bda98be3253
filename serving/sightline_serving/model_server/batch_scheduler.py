"""Batches in the making: queues of them, and the threads that work them off.

As the official SharedBatchScheduler: one queue for each signature of each version; a batch is ready when it
is full, when a newer one has been begun, or when its first task has waited long enough; all queues share the
threads.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sightline_serving.model_server.sessions import Array
from sightline_serving.model_server.status import StatusError, invalid_argument, unavailable

DEFAULT_MAX_BATCH_SIZE: Final = 1000  # rows; the official defaults
DEFAULT_MAX_ENQUEUED_BATCHES: Final = 10


@dataclass(frozen=True, slots=True)
class BatchingOptions:
    """What the batching parameters file says."""

    max_batch_size: int = DEFAULT_MAX_BATCH_SIZE  # rows that one request may have
    max_execution_batch_size: int = DEFAULT_MAX_BATCH_SIZE  # rows that are run at once
    timeout: float = 0.0  # seconds that a batch waits for company
    max_enqueued_batches: int = DEFAULT_MAX_ENQUEUED_BATCHES
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    split_large_batches: bool = False

    def rounded(self, size: int) -> int:
        """The allowed batch size for so many rows."""
        return next((allowed for allowed in self.allowed_batch_sizes if allowed >= size), size)


@dataclass(slots=True, eq=False)
class Task:
    """One request, or a part of a large one, on its way through a batch."""

    feeds: dict[str, Array]
    size: int  # rows
    deadline: float | None  # on the monotonic clock
    enqueued: float = field(default_factory=time.monotonic)
    outputs: list[Array] | None = None
    error: StatusError | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def expired(self, now: float) -> bool:
        """Whether nobody waits for it any more."""
        return self.deadline is not None and self.deadline <= now

    def finish(self, outputs: list[Array]) -> None:
        """Hand over the answer."""
        self.outputs = outputs
        self.done.set()

    def fail(self, error: StatusError) -> None:
        """Hand over the error."""
        self.error = error
        self.done.set()


Process = Callable[[list[Task]], None]


class _Batch:
    """Tasks that will be run together."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.size = 0
        self.begun = 0.0

    def add(self, task: Task) -> None:
        if not self.tasks:
            self.begun = time.monotonic()
        self.tasks.append(task)
        self.size += task.size


class BatchQueue:
    """The batches of one signature. All methods are called with the scheduler's lock held."""

    def __init__(self, options: BatchingOptions, process: Process) -> None:
        self.options = options
        self.process = process
        self._batches = deque([_Batch()])  # the last one is open

    @property
    def open_slots(self) -> int:
        """Rows that the open batch still takes."""
        return self.options.max_execution_batch_size - self._batches[-1].size

    def check_capacity(self, size: int) -> None:
        """Refuse what does not fit, in the official words.

        Raises:
            StatusError: INVALID_ARGUMENT, it never fits; UNAVAILABLE, it does not fit now.
        """
        options, batches = self.options, self._batches
        if size > options.max_batch_size:
            raise invalid_argument(
                f"Task size {size} is larger than maximum input batch size {options.max_batch_size}"
            )
        full = "The batch scheduling queue to which this task was submitted is full; "
        if options.split_large_batches:
            limit = options.max_execution_batch_size
            capacity = (options.max_enqueued_batches - len(batches)) * limit + self.open_slots
            if size > capacity:
                raise unavailable(
                    f"{full}task size is {size} but scheduling capacity is only {capacity} "
                    f"(num_enqueued_batches={len(batches)}, "
                    f"max_enqueued_batches={options.max_enqueued_batches}, "
                    f"open_batch_size={batches[-1].size}, max_execution_batch_size={limit})"
                )
        elif (
            batches[-1].size + size > options.max_batch_size and len(batches) >= options.max_enqueued_batches
        ):
            raise unavailable(
                f"{full}currently {len(batches)} batches enqueued and max_enqueued_batches is "
                f"{options.max_enqueued_batches}"
            )

    def add(self, tasks: Sequence[Task]) -> None:
        """Put tasks into the open batch, or new ones."""
        for task in tasks:
            if self._batches[-1].size + task.size > self.options.max_execution_batch_size:
                self._batches.append(_Batch())
            self._batches[-1].add(task)

    def ready_in(self, now: float) -> float | None:
        """Seconds until a batch is ready: 0 for now, None if there is none."""
        if len(self._batches) > 1:
            return 0.0
        batch = self._batches[0]
        if not batch.tasks:
            return None
        if batch.size >= self.options.max_execution_batch_size:
            return 0.0
        return max(0.0, batch.begun + self.options.timeout - now)

    def take(self) -> list[Task]:
        """The oldest batch, which must be ready."""
        batch = self._batches.popleft()
        if not self._batches:
            self._batches.append(_Batch())
        return batch.tasks


class BatchScheduler:
    """The threads that all queues share; they take turns."""

    def __init__(self, threads: int, name: str = "batch") -> None:
        """Args:
        threads: batches that may run at the same time.
        name: of the threads, and in the metrics.
        """
        self.name = name
        self._changed = threading.Condition()
        self._queues: deque[BatchQueue] = deque()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def add_queue(self, queue: BatchQueue) -> None:
        """Serve one more queue."""
        with self._changed:
            self._queues.append(queue)

    def remove_queue(self, queue: BatchQueue) -> None:
        """Serve it no more. It must be empty."""
        with self._changed:
            self._queues.remove(queue)

    def schedule(
        self, queue: BatchQueue, size: int, make_tasks: Callable[[int], Sequence[Task]]
    ) -> Sequence[Task]:
        """Enqueue a request of `size` rows.

        Args:
            queue: where to.
            size: rows.
            make_tasks: the request as tasks, given the rows that the open batch still takes.

        Raises:
            StatusError: it does not fit.
        """
        with self._changed:
            queue.check_capacity(size)
            tasks = make_tasks(queue.open_slots)
            queue.add(tasks)
            self._changed.notify()
        return tasks

    def close(self) -> None:
        """End the threads. The queues must be empty."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                queue, tasks = self._next()
            if queue is None:
                return
            queue.process(tasks)

    def _next(self) -> tuple[BatchQueue | None, list[Task]]:
        """Wait for a batch that is ready; without a queue once closed."""
        while not self._closed:
            now = time.monotonic()
            soonest: float | None = None
            for _ in range(len(self._queues)):
                queue = self._queues[0]
                self._queues.rotate(-1)
                wait = queue.ready_in(now)
                if wait == 0.0:
                    tasks = queue.take()
                    self._changed.notify()  # there may be another one for another thread
                    return queue, tasks
                if wait is not None and (soonest is None or wait < soonest):
                    soonest = wait
            self._changed.wait(soonest)
        return None, []
