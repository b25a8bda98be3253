from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sightline.grpc_waiting import wait_in_place

VARIABLE = "GRPC_EXPERIMENTS"


def test_whoever_has_set_the_variable_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "chosen")
    wait_in_place()
    assert os.environ[VARIABLE] == "chosen"
    monkeypatch.delenv(VARIABLE)
    wait_in_place()
    assert os.environ[VARIABLE] == "-event_engine_client,-event_engine_listener"


@pytest.mark.parametrize("command", ["video", "stream", "batch"])
def test_a_command_has_not_imported_grpc_before_it_says_how_to_wait(command: str) -> None:
    """It would have read the variable already."""
    program = f"import sys, sightline.cli.{command}; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
