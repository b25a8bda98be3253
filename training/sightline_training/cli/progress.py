"""How far a long piece of work is, on a terminal or in a log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sightline.interruption import raise_if_interrupted

_LINES: Final = 10  # in a log, where a bar cannot be redrawn


@dataclass(slots=True)
class Counter(ABC):
    """Counts what is done."""

    total: int
    done: int = 0
    note: str = ""
    _shown: int = field(default=0, repr=False)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count more as done; the note stands beside the count."""
        self.reach(self.done + count, note)

    def reach(self, done: int, note: str = "") -> None:
        """Count so much as done in all.

        Raises:
            KeyboardInterrupt: one came, and got lost in a library.
        """
        raise_if_interrupted()
        self.done, self.note = done, note or self.note
        self._show()

    def say(self, line: str) -> None:
        """Write a line that stays, above the bar where there is one."""
        click.echo(line, err=True)

    @abstractmethod
    def _show(self) -> None:
        """Tell how far it is."""


@dataclass(slots=True)
class _Logged(Counter):
    """A line at every tenth."""

    title: str = ""

    def _show(self) -> None:
        tenth = self.done * _LINES // max(self.total, 1)
        if tenth > self._shown:
            self._shown = tenth
            click.echo(f"{self.title}: {self.done}/{self.total} {self.note}".rstrip(), err=True)


@dataclass(slots=True)
class _Drawn(Counter):
    """A bar."""

    bar: Progress | None = None

    def say(self, line: str) -> None:
        if self.bar is not None:
            self.bar.console.print(line, highlight=False)

    def _show(self) -> None:
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=self.done, note=self.note)


@contextmanager
def counting(title: str, total: int) -> Iterator[Counter]:
    """Show the progress of `total` things for as long as the block lasts."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Logged(total, title=title)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        bar.add_task(title, total=total, note="")
        yield _Drawn(total, bar=bar)
