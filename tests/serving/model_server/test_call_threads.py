"""The threads that answer calls."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest
from support.waiting import LONG_S, until

from sightline_serving.model_server.call_threads import Aside, CallThreads

LIMIT = 3


class Calls:
    """Calls that say in whose thread they are, and can be held up, aside or at work."""

    def __init__(self, threads: CallThreads) -> None:
        self._threads = threads
        self.served_by: dict[str, threading.Thread] = {}
        self.gates: dict[str, threading.Event] = {}

    def begin(self, name: str, *, at_work: bool = False) -> None:
        """Make a call that lasts until `end`."""
        self.gates[name] = threading.Event()
        self._threads.submit(self._work if at_work else self._wait, name).result(0)

    def end(self, *names: str) -> None:
        for name in names:
            self.gates[name].set()

    def begun(self, *names: str) -> bool:
        return set(names) <= self.served_by.keys()

    def _work(self, name: str) -> None:
        self.served_by[name] = threading.current_thread()
        assert self.gates[name].wait(LONG_S)

    def _wait(self, name: str) -> None:
        with Aside():
            self._work(name)


@pytest.fixture
def pool() -> Iterator[CallThreads]:
    made = CallThreads(LIMIT, "test")
    yield made
    made.shutdown()


def idle(pool: CallThreads) -> int:
    return len(pool._idle)


def test_the_thread_that_was_busy_last_is_taken_first(pool: CallThreads) -> None:
    calls = Calls(pool)
    for name in "ab":
        calls.begin(name)
    until(lambda: calls.begun("a", "b"))
    calls.end("a")
    until(lambda: idle(pool) == 1)
    calls.end("b")
    until(lambda: idle(pool) == 2)
    for name in "cde":  # one after the other: one thread does for all of them
        calls.begin(name)
        calls.end(name)
        until(lambda name=name: calls.begun(name) and idle(pool) == 2)
        assert calls.served_by[name] is calls.served_by["b"]


def test_what_finds_no_thread_free_waits_its_turn(pool: CallThreads) -> None:
    calls = Calls(pool)
    for name in "abcde":
        calls.begin(name)
    until(lambda: calls.begun(*"abc"))
    assert not calls.begun("d")
    calls.end("b", "d", "e")
    until(lambda: calls.begun(*"abcde"))
    assert calls.served_by["d"] is calls.served_by["b"]
    calls.end("a", "c")
    until(lambda: idle(pool) == LIMIT)


def test_one_call_is_at_work_at_a_time(pool: CallThreads) -> None:
    calls = Calls(pool)
    calls.begin("a", at_work=True)
    until(lambda: calls.begun("a"))
    calls.begin("b", at_work=True)
    calls.begin("c")
    assert not pool._idle and not calls.begun("b")
    calls.end("a", "b", "c")
    until(lambda: calls.begun("b", "c") and idle(pool) == 1)
    assert calls.served_by["b"] is calls.served_by["a"], "it went on with what waited"


def test_a_call_that_comes_back_from_aside_goes_on_beside_others(pool: CallThreads) -> None:
    back, came_back, end = threading.Event(), threading.Event(), threading.Event()
    calls = Calls(pool)

    def come_back() -> None:
        with Aside(), Aside():  # the inner one has nothing left to give up
            assert back.wait(LONG_S)
        came_back.set()
        assert end.wait(LONG_S)

    pool.submit(come_back)
    calls.begin("a", at_work=True)
    until(lambda: calls.begun("a"))
    back.set()
    assert came_back.wait(LONG_S)
    calls.begin("b", at_work=True)
    calls.end("a", "b")
    until(lambda: idle(pool) == 1)
    assert not calls.begun("b"), "one is still at work"
    end.set()
    until(lambda: calls.begun("b") and idle(pool) == 2)


def test_aside_of_nothing_does_nothing() -> None:
    with Aside(), Aside():
        pass


def test_an_error_costs_no_thread(pool: CallThreads, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        pool.submit(lambda: 1 / 0)
        until(lambda: idle(pool) == 1)
    assert "division by zero" in str(caplog.records[0].exc_info)
    calls = Calls(pool)
    calls.begin("a")
    calls.end("a")
    until(lambda: calls.begun("a"))


def test_shutdown_ends_the_threads_when_they_are_idle() -> None:
    pool = CallThreads(LIMIT, "ending")
    calls = Calls(pool)
    for name in "ab":
        calls.begin(name)
    until(lambda: calls.begun("a", "b"))
    calls.end("a")
    until(lambda: idle(pool) == 1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        calls.begin("c")
    calls.end("b")
    for name in "ab":
        calls.served_by[name].join(LONG_S)
        assert not calls.served_by[name].is_alive()
