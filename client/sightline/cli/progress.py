"""How far it is: a bar on a terminal, a line now and then in a pipe; both on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Final

import click

from sightline.interruption import raise_if_interrupted

_PLAIN_INTERVAL: Final = 10.0  # seconds between lines in a pipe
_STEPS: Final = 1000  # of the bar


class Progress:
    """Progress of one piece of work.

    Args:
        label: what is being done.
        total: how much there is to do, in the unit of `advance`; None where nobody knows.
        unit: what is counted, in words.
        among_lines: results are written to standard output meanwhile; on a terminal they are the progress.
    """

    def __init__(self, label: str, total: float | None, unit: str, *, among_lines: bool = False) -> None:
        self._label, self._total, self._unit = label, total, unit
        self._done = 0.0
        self._said = time.monotonic()
        self._silent = among_lines and sys.stdout.isatty()
        self._bar: Any = None
        if sys.stderr.isatty() and total and not self._silent:
            self._bar = click.progressbar(length=_STEPS, label=label, file=sys.stderr)

    def reach(self, done: float) -> None:
        """So much is done in all.

        Raises:
            KeyboardInterrupt: the command was interrupted, which went unheard until this step.
        """
        raise_if_interrupted()
        before, self._done = self._done, done
        if self._bar is not None and self._total:
            steps = [min(round(_STEPS * part / self._total), _STEPS) for part in (before, done)]
            self._bar.update(steps[1] - steps[0])
        elif not self._silent and time.monotonic() - self._said >= _PLAIN_INTERVAL:
            self._said = time.monotonic()
            of = f" of {self._total:.0f}" if self._total else ""
            click.echo(f"{self._label}: {done:.0f}{of} {self._unit}", err=True)

    def advance(self, more: float = 1) -> None:
        """So much more is done."""
        self.reach(self._done + more)

    def finish(self) -> None:
        """All is done, whatever was thought of how much there is."""
        if self._bar is not None and self._total:
            self.reach(self._total)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)
