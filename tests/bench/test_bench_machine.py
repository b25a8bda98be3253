from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import machine


def test_what_is_started_on_few_cores_sees_no_more() -> None:
    before = os.sched_getaffinity(0)
    with machine.few_cores(1) as cores:
        asked = [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"]
        assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "1\n"
    assert cores == 1
    assert os.sched_getaffinity(0) == before


def test_a_gpu_is_named_as_nvidias_tool_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA L4, 23034 MiB'\necho 'NVIDIA L4, 23034 MiB'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    machine.gpu.cache_clear()
    try:
        assert machine.gpu() == "NVIDIA L4, 23034 MiB"
        assert machine.describe(quick=True)["GPU"] == "NVIDIA L4, 23034 MiB"
        assert not any("GPU" in note for note in machine.not_measured())
        tool.write_text("#!/bin/sh\nexit 9\n")  # its driver is not there
        machine.gpu.cache_clear()
        assert machine.gpu() == ""
        assert any("GPU" in note for note in machine.not_measured())
    finally:
        machine.gpu.cache_clear()
