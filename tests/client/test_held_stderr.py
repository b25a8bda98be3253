from __future__ import annotations

import os

import pytest

from sightline.held_stderr import held_stderr


def test_what_is_said_meanwhile_is_not_seen(capfd: pytest.CaptureFixture[str]) -> None:
    with held_stderr():
        os.write(2, b"a greeting\n")
    os.write(2, b"an error\n")
    assert capfd.readouterr().err == "an error\n"


def test_what_was_said_before_a_failure_is_seen(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), held_stderr():
        os.write(2, b"no such library\n")
        raise ImportError
    assert capfd.readouterr().err == "no such library\n"
