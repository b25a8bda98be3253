"""The threads that answer calls: the one that was busy last is taken first.

`ThreadPoolExecutor` wakes its idle threads in turn, so that each call meets another thread, whose stack and
memory (glibc gives every thread an arena of its own) have left the processor's caches meanwhile, and it makes
a `Future` for each. That costs a call a sixth of its CPU time; the numbers are in docs/decisions/0024.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Final

log = logging.getLogger(__name__)

_Work = Callable[[], object]


def _done() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(None)
    return future


# All that gRPC wants of a future is to count calls for a limit that this server does not set.
_DONE: Final = _done()


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
    """An executor for a gRPC server. What it is given must handle its own errors and results."""

    def __init__(self, limit: int, name: str) -> None:
        """Args:
        limit: threads at most; they are made when they are needed.
        name: what their names begin with.
        """
        self._limit = limit
        self._name = name
        self._lock = threading.Lock()
        self._idle: list[_Thread] = []
        self._waiting: deque[_Work] = deque()
        self._count = 0
        self._closed = False

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have something called, at once if a thread is free, else when one is.

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
            if self._idle:
                self._idle.pop().wake(work)
            elif self._count < self._limit:
                self._start(work)
            else:
                self._waiting.append(work)
        return _DONE

    def _start(self, work: _Work) -> None:
        thread = _Thread()
        thread.wake(work)
        self._count += 1
        # A daemon, so that a process may end although a call never does.
        threading.Thread(
            target=self._run, args=(thread,), name=f"{self._name}-{self._count}", daemon=True
        ).start()

    def _run(self, thread: _Thread) -> None:
        while True:
            thread.wait()
            while thread.work is not None:
                try:
                    thread.work()
                except Exception:
                    log.exception("A call failed in its thread")
                thread.work = None  # or the call's memory would be kept until the next one
                with self._lock:
                    if self._waiting:
                        thread.work = self._waiting.popleft()
                    elif self._closed:
                        return
                    else:
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
