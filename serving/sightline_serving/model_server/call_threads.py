"""The threads that answer calls: one of them at work at a time, the one that was busy last taken first.

`ThreadPoolExecutor` wakes its idle threads in turn, so that each call meets another thread, whose stack and
memory (glibc gives every thread an arena of its own) have left the processor's caches meanwhile, and it makes
a `Future` for each. And as many as there are calls are awake at once, to wait for Python's lock in turn. Both
cost a call a third of its CPU time; the numbers are in docs/decisions/0024.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import Any, Final

log = logging.getLogger(__name__)

_Work = Callable[[], object]


def _done() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(None)
    return future


# All that gRPC wants of a future is to count calls for a limit that this server does not set.
_DONE: Final = _done()

_here = threading.local()  # `turn_of`: the CallThreads by whose turn this thread works, if it does


class Aside:
    """What a call does without Python, or waits for: within it, another call may be at work.

    Elsewhere than in a thread of `CallThreads`, and within another one, it does nothing.
    """

    __slots__ = ("_pool",)

    def __enter__(self) -> None:
        self._pool: CallThreads | None = getattr(_here, "turn_of", None)
        if self._pool is not None:
            _here.turn_of = None
            self._pool.give_up_turn()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.take_turn()
            _here.turn_of = self._pool


class _Thread:
    """One thread, and what it is to do next."""

    def __init__(self) -> None:
        self.work: _Work | None = None  # None ends it
        self._woken = threading.Lock()
        self._woken.acquire()

    def wake(self, work: _Work | None) -> None:
        self.work = work
        self._woken.release()

    def wait(self) -> None:
        self._woken.acquire()


class CallThreads(Executor):
    """An executor for a gRPC server. What it is given must handle its own errors and results.

    One call is at work at a time, as Python's lock would have it anyway; the others wait without a thread.
    Whatever takes time without that lock, or waits, belongs into an `Aside`. A call that comes back from
    there goes on at once, so that for a moment there may be several.
    """

    def __init__(self, limit: int, name: str) -> None:
        """Args:
        limit: threads at most, those aside included; they are made when they are needed.
        name: what their names begin with.
        """
        self._limit = limit
        self._name = name
        self._lock = threading.Lock()
        self._idle: list[_Thread] = []
        self._waiting: deque[_Work] = deque()
        self._count = 0
        self._at_work = 0
        self._closed = False

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have something called, at once if nothing is at work, else when its turn comes.

        Returns:
            A future that is done: the result is nobody's.

        Raises:
            RuntimeError: it was shut down.
        """

        def work() -> None:
            call(*args, **kwargs)

        with self._lock:
            if self._closed:
                raise RuntimeError("cannot call anything after shutdown")
            self._waiting.append(work)
            self._wake()
        return _DONE

    def give_up_turn(self) -> None:
        """Let another call be at work. `Aside` calls it."""
        with self._lock:
            self._at_work -= 1
            self._wake()

    def take_turn(self) -> None:
        """Be at work again, whoever else is. `Aside` calls it."""
        with self._lock:
            self._at_work += 1

    def _wake(self) -> None:
        """Have a thread take what waits, if it is its turn and there is one. With the lock held."""
        if self._at_work or not self._waiting:
            return
        if self._idle:
            self._at_work += 1
            self._idle.pop().wake(self._waiting.popleft())
        elif self._count < self._limit:
            self._at_work += 1
            self._start(self._waiting.popleft())

    def _start(self, work: _Work) -> None:
        thread = _Thread()
        thread.wake(work)
        self._count += 1
        # A daemon, so that a process may end although a call never does.
        threading.Thread(
            target=self._run, args=(thread,), name=f"{self._name}-{self._count}", daemon=True
        ).start()

    def _run(self, thread: _Thread) -> None:
        _here.turn_of = self
        while True:
            thread.wait()
            while thread.work is not None:
                try:
                    thread.work()
                except Exception:
                    log.exception("A call failed in its thread")
                thread.work = None  # or the call's memory would be kept until the next one
                with self._lock:
                    if self._waiting and self._at_work == 1:
                        thread.work = self._waiting.popleft()
                        continue
                    self._at_work -= 1  # if something waits, whoever else is at work takes it
                    if self._closed:
                        return
                    self._idle.append(thread)
                    break
            else:
                return

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work, and end the threads as they become idle; they are not waited for."""
        del wait
        with self._lock:
            self._closed = True
            if cancel_futures:
                self._waiting.clear()
            for thread in self._idle:
                thread.wake(None)
            self._idle.clear()
