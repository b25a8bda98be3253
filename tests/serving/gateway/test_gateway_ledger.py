"""What requests leave behind is booked soon, in order, and all of it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from flask.testing import FlaskClient
from support.pictures import jpeg

from sightline_serving.gateway.ledger import PAUSE, Ledger


def test_entries_are_booked_in_order_by_another_thread() -> None:
    booked: list[tuple[int, int]] = []
    ledger: Ledger[int] = Ledger(lambda entry: booked.append((entry, threading.get_ident())))
    for round_ in range(3):  # a new batch each time
        for entry in range(10):
            ledger.add(10 * round_ + entry)
        deadline = time.monotonic() + 20 * PAUSE
        while len(booked) < 10 * (round_ + 1):
            assert time.monotonic() < deadline
            time.sleep(PAUSE / 10)
    assert [entry for entry, _ in booked] == list(range(30))
    assert threading.get_ident() not in {thread for _, thread in booked}


def test_settling_books_at_once_and_nothing_twice() -> None:
    booked: list[int] = []
    ledger: Ledger[int] = Ledger(booked.append)
    for entry in range(5):
        ledger.add(entry)
    ledger.settle()
    assert booked == list(range(5))
    time.sleep(3 * PAUSE)  # the batch's own thread comes and finds nothing
    assert booked == list(range(5))


def test_many_threads_lose_nothing() -> None:
    booked: list[int] = []
    ledger: Ledger[int] = Ledger(booked.append)

    def add() -> None:
        for entry in range(500):
            ledger.add(entry)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.settle()
    assert sorted(booked) == sorted(list(range(500)) * 8)


def test_a_batch_may_be_expected_before_anything_is_added() -> None:
    settled: list[list[int]] = []
    booked: list[int] = []
    ledger: Ledger[int] = Ledger(booked.append, lambda: settled.append(list(booked)))
    ledger.expect()
    deadline = time.monotonic() + 20 * PAUSE
    while not settled:
        assert time.monotonic() < deadline
        time.sleep(PAUSE / 10)
    ledger.add(1)
    ledger.settle()
    assert settled[:2] == [[], [1]]  # each after its batch


def test_an_entry_that_fails_keeps_no_other_from_being_booked(caplog: pytest.LogCaptureFixture) -> None:
    booked: list[float] = []
    ledger: Ledger[float] = Ledger(lambda entry: booked.append(1 / entry))
    for entry in (1.0, 0.0, 2.0):
        ledger.add(entry)
    ledger.settle()
    assert booked == [1.0, 0.5]
    assert "ZeroDivisionError" in caplog.text


def test_a_process_that_ends_books_what_is_left() -> None:
    code = "from sightline_serving.gateway.ledger import Ledger; Ledger(print).add('the last one')"
    done = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "the last one\n"


def test_a_line_in_the_log_tells_the_moment_of_the_answer(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        before = time.time()
        answer = client.post("/v1/detect", data=jpeg(), headers={"X-Request-ID": "mine"})
        after = time.time()
        time.sleep(2 * PAUSE)
        client.get("/metrics")
    (line,) = (vars(record) for record in caplog.records if vars(record).get("request_id") == "mine")
    assert before <= line["created"] <= after
    assert answer.headers["X-Request-ID"] == "mine"
    told = {name: line[name] for name in ("method", "path", "status", "model", "version", "code")}
    assert told == {
        "method": "POST",
        "path": "/v1/detect",
        "status": 200,
        "model": "droids",
        "version": "1",
        "code": None,
    }
    assert line["ms"] > 0
