from __future__ import annotations

import io
import os
import pty
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sightline.cli import progress
from sightline.cli.progress import Progress

SOON = 10.0  # seconds for a pseudo terminal to hand over what was written


@contextmanager
def terminal() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """A pseudo terminal: where to read what is shown, and a stream that writes to it."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "wb", buffering=0) as raw, io.TextIOWrapper(raw, write_through=True) as stream:
        yield ours, stream
    os.close(ours)


def shown_on(ours: int, until: str) -> str:
    """What is shown, up to some text; all there is if it does not come."""
    shown = ""
    while until not in shown and select.select([ours], [], [], SOON)[0]:
        shown += os.read(ours, 65536).decode()
    return shown


def test_on_a_terminal_it_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal() as (ours, stream):
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress("job", 4, "inputs") as told:
            for _ in range(4):
                told.advance()
        shown = shown_on(ours, "100%")
    assert "job" in shown and "100%" in shown and "####" in shown


def test_in_a_pipe_it_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_PLAIN_INTERVAL", 0.0)
    with Progress("job", 4, "inputs") as told:
        told.advance()
        told.reach(3)
    with Progress("camera", None, "frames") as told:
        told.advance(7)
    assert capsys.readouterr().err.splitlines() == [
        "job: 1 of 4 inputs",
        "job: 3 of 4 inputs",
        "camera: 7 frames",
    ]


def test_lines_in_a_pipe_are_far_apart(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("job", 1000, "inputs") as told:
        for _ in range(1000):
            told.advance()
    assert capsys.readouterr().err == ""


def test_where_results_go_to_the_terminal_they_are_the_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PLAIN_INTERVAL", 0.0)
    with terminal() as (ours, stream):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(sys, "stdout", stream)
        with Progress("film.mp4", 4, "seconds", among_lines=True) as told:
            told.reach(4)
        stream.write("end")
        assert shown_on(ours, "end") == "end"
