"""What the exit code says; the one translator from errors to codes and messages.

0    all inputs were done
1    some inputs failed (each is named on standard error, or in the manifest); the others were done
2    the command was called wrongly
3    the gateway or the model server cannot be reached, is too busy or too slow: try again
4    it answers, and refuses: unknown model, signature not understood, no API key
5    a local file cannot be read or written, such as when the disk is full
130  interrupted by Ctrl-C or SIGTERM; a second one does not wait for what is under way
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import click

from sightline.errors import DeadlineError, InputError, InvalidOptionError, SightlineError
from sightline.interruption import interruptible


class Exit(IntEnum):
    """The exit codes."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    TRY_AGAIN = 3
    REFUSED = 4
    LOCAL_FILE = 5
    INTERRUPTED = 130


def exit_code(fault: SightlineError) -> Exit:
    """The code for an error that ends a command."""
    if fault.retryable or isinstance(fault, DeadlineError):
        return Exit.TRY_AGAIN
    if isinstance(fault, InvalidOptionError):
        return Exit.USAGE
    return Exit.SOME_FAILED if isinstance(fault, InputError) else Exit.REFUSED


@contextmanager
def exits() -> Iterator[None]:
    """Turn an error that ends a command into one line on standard error and its exit code."""
    try:
        with interruptible(Exit.INTERRUPTED):
            yield
    except SightlineError as fault:
        raise _Ending(fault.detail, exit_code(fault)) from fault
    except BrokenPipeError:  # `| head` has seen enough
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)  # so that the interpreter's last flush has somewhere to go
        raise SystemExit(Exit.OK) from None
    except OSError as fault:
        where = f"{fault.filename}: " if fault.filename else ""
        raise _Ending(f"{where}{fault.strerror or fault}", Exit.LOCAL_FILE) from fault
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        raise SystemExit(Exit.INTERRUPTED) from None


class _Ending(click.ClickException):
    """One line on standard error, and the exit code."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]  # click declares it for the class, and reads the instance
