"""Ctrl-C and SIGTERM, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from sightline.cli.exits import Exit

_HEAD = """
import os, signal, sys, threading, time
from sightline.cli.exits import exits
from sightline.cli.progress import Progress
"""


def run(body: str, *, by: str = "--default-signal=INT") -> subprocess.CompletedProcess[str]:
    """Run a script in which `exits` stands, begun `by` this option of `env`."""
    command = ["env", by, sys.executable, "-c", _HEAD + textwrap.dedent(body)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_command_with_its_code(name: str) -> None:
    done = run(f"""
        with exits():
            os.kill(os.getpid(), signal.{name})
            time.sleep(30)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (Exit.INTERRUPTED, "", "interrupted\n")


def test_an_interruption_that_python_could_only_print_is_heard_at_the_next_step() -> None:
    done = run("""
        class Closing:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(30)
        with exits(), Progress("work", 2, "steps") as progress:
            item = Closing()
            del item
            print("went on", flush=True)
            progress.advance()
            print("and on")
    """)
    assert (done.returncode, done.stdout) == (Exit.INTERRUPTED, "went on\n")
    assert "Exception ignored" in done.stderr and done.stderr.endswith("interrupted\n")


def test_a_second_signal_does_not_wait_for_what_is_under_way() -> None:
    done = run("""
        def again():
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGINT)
        with exits():
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(30)
            finally:
                threading.Thread(target=again).start()
                time.sleep(30)
                print("waited")
    """)
    assert (done.returncode, done.stdout) == (Exit.INTERRUPTED, "")


def test_a_background_job_that_ignores_interrupts_goes_on_doing_so() -> None:
    body = """
        with exits():
            os.kill(os.getpid(), signal.{name})
            print("went on")
    """
    assert run(body.format(name="SIGINT"), by="--ignore-signal=INT").stdout == "went on\n"
    assert run(body.format(name="SIGTERM"), by="--ignore-signal=INT").returncode == Exit.INTERRUPTED


def test_handlers_are_as_they_were_afterwards() -> None:
    done = run("""
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        with exits():
            assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) != before
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    """)
    assert done.returncode == 0, done.stderr
