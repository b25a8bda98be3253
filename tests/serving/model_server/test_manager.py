"""Loading before unloading, retries, and never pulling a version away from under a request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sightline_serving.model_server.manager import LoadPolicy, Manager
from sightline_serving.model_server.servable import Servable
from sightline_serving.model_server.status import StatusError, not_found
from sightline_serving.model_server.versions import State, VersionBoard

LONG_S = 30.0
HERE = Path()


class Closable:
    """A session that only knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def run(self, *_: Any) -> list[Any]:
        assert not self.closed
        return []

    def close(self) -> None:
        self.closed = True


class Shelf:
    """A loader whose loads fail, or wait, as told."""

    def __init__(self) -> None:
        self.failures: dict[int, int] = {}  # version: how often it fails yet
        self.gates: dict[int, threading.Event] = {}
        self.attempts: list[int] = []
        self.sessions: dict[int, Closable] = {}

    def __call__(self, name: str, version: int, folder: Path) -> Servable:
        self.attempts.append(version)
        if version in self.gates:
            assert self.gates[version].wait(LONG_S)
        if self.failures.get(version, 0):
            self.failures[version] -= 1
            raise not_found(f"version {version} is broken")
        self.sessions[version] = Closable()
        return Servable(name, version, self.sessions[version], {})


@contextmanager
def managed(shelf: Shelf, **policy: Any) -> Iterator[tuple[Manager, VersionBoard]]:
    board = VersionBoard()
    options = {"retries": 0, "retry_interval": 0.0, **policy}
    manager = Manager(shelf, board, LoadPolicy(**options))
    try:
        yield manager, board
    finally:
        manager.close()


def states(board: VersionBoard) -> dict[int, State]:
    return {version: status.state for version, status in board.of("m").items()}


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.002)


def versions(*numbers: int) -> dict[int, Path]:
    return dict.fromkeys(numbers, HERE)


def test_a_new_version_serves_before_the_old_one_leaves() -> None:
    shelf = Shelf()
    shelf.gates[2] = threading.Event()
    with managed(shelf) as (manager, board):
        manager.aspire("m", versions(1))
        until(lambda: states(board) == {1: State.AVAILABLE})
        manager.aspire("m", versions(2))
        until(lambda: states(board).get(2) is State.LOADING)
        assert states(board)[1] is State.AVAILABLE
        shelf.gates[2].set()
        until(lambda: states(board) == {2: State.AVAILABLE, 1: State.END})
        assert shelf.sessions[1].closed
        assert not shelf.sessions[2].closed


def test_a_broken_version_leaves_the_good_one_alone() -> None:
    shelf = Shelf()
    shelf.failures[2] = 1
    with managed(shelf) as (manager, board):
        manager.aspire("m", versions(1))
        until(lambda: states(board) == {1: State.AVAILABLE})
        manager.aspire("m", versions(2))
        until(lambda: states(board).get(2) is State.END)
        manager.aspire("m", versions(2))  # seen again at the next look: not tried again
        assert states(board) == {2: State.END, 1: State.AVAILABLE}
        assert shelf.attempts == [1, 2]
        error = board.of("m")[2].error
        assert error is not None
        assert str(error) == "NOT_FOUND: version 2 is broken"
        servable = manager.acquire("m", None)
        assert servable.version == 1
        servable.release()


def test_loads_are_tried_again() -> None:
    shelf = Shelf()
    shelf.failures[1] = 2
    with managed(shelf, retries=2) as (manager, board):
        manager.aspire("m", versions(1))
        until(lambda: states(board) == {1: State.AVAILABLE})
        assert shelf.attempts == [1, 1, 1]


def test_a_version_that_is_taken_away_is_not_tried_again() -> None:
    shelf = Shelf()
    shelf.failures[1] = 99
    with managed(shelf, retries=99, retry_interval=LONG_S) as (manager, board):
        manager.aspire("m", versions(1))
        until(lambda: len(shelf.attempts) == 1)
        manager.aspire("m", {})
        until(lambda: states(board) == {1: State.END})
        assert shelf.attempts == [1]


def test_a_version_in_use_is_kept_until_it_is_let_go() -> None:
    shelf = Shelf()
    with managed(shelf) as (manager, board):
        manager.aspire("m", versions(1))
        until(lambda: states(board) == {1: State.AVAILABLE})
        held = manager.acquire("m", 1)
        manager.aspire("m", {})
        until(lambda: states(board) == {1: State.UNLOADING})
        with pytest.raises(StatusError, match=r"Servable not found for request: Specific\(m, 1\)"):
            manager.acquire("m", 1)
        assert not shelf.sessions[1].closed
        held.release()
        until(lambda: states(board) == {1: State.END})
        assert shelf.sessions[1].closed


def test_falling_back_to_an_older_version() -> None:
    shelf = Shelf()
    with managed(shelf) as (manager, board):
        manager.aspire("m", versions(2))
        until(lambda: states(board) == {2: State.AVAILABLE})
        manager.aspire("m", versions(1))
        until(lambda: states(board) == {2: State.END, 1: State.AVAILABLE})
        manager.aspire("m", versions(2))  # and back: a version that had ended is new again
        until(lambda: states(board) == {2: State.AVAILABLE, 1: State.END})


def test_the_latest_is_the_highest_that_serves() -> None:
    shelf = Shelf()
    shelf.failures[3] = 1
    with managed(shelf, load_threads=3) as (manager, board):
        manager.aspire("m", versions(1, 2, 3))
        until(lambda: states(board) == {3: State.END, 2: State.AVAILABLE, 1: State.AVAILABLE})
        for asked, expected in ((None, 2), (1, 1), (2, 2)):
            servable = manager.acquire("m", asked)
            assert servable.version == expected
            servable.release()


def test_a_loader_that_raises_anything_is_an_error_of_the_version() -> None:
    def explode(*_: Any) -> Servable:
        raise ZeroDivisionError("of all things")

    board = VersionBoard()
    manager = Manager(explode, board, LoadPolicy(retries=0))
    manager.aspire("m", versions(1))
    until(lambda: states(board) == {1: State.END})
    error = board.of("m")[1].error
    assert error is not None
    assert str(error) == "INTERNAL: ZeroDivisionError: of all things"
    manager.close()


def test_waiting_for_models() -> None:
    board = VersionBoard()
    board.publish("old", 1, State.END)
    mark = board.now
    assert board.wait_until_settled(["old"]).keys() == {"old"}
    waited: list[Any] = []
    thread = threading.Thread(target=lambda: waited.append(board.wait_until_settled(["old"], since=mark)))
    thread.start()
    board.publish("old", 1, State.LOADING)
    board.publish("old", 1, State.AVAILABLE)
    thread.join(LONG_S)
    assert waited == [{}]
    assert board.wait_until_settled(["never"], cancelled=lambda: True) == {"never": {}}
