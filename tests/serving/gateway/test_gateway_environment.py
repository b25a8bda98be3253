"""The gateway installs without TensorFlow and serves from there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from support.fake_serving import FakeServing
from support.gateways import running
from support.pictures import jpeg


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fresh_environment_holds_no_tensorflow_and_detects(
    serving: FakeServing, repository: Path, tmp_path: Path
) -> None:
    home = tmp_path / "venv"
    subprocess.run((sys.executable, "-m", "venv", str(home)), check=True, timeout=120)
    python = str(home / "bin" / "python")
    install = (python, "-m", "pip", "install", "-q", "-c", str(repository / "constraints.txt"))
    subprocess.run(
        (*install, str(repository / "client"), str(repository / "serving")), check=True, timeout=400
    )

    listed = subprocess.run((python, "-m", "pip", "list"), capture_output=True, text=True, check=True).stdout
    assert "tensorflow" not in listed.lower()
    assert "keras" not in listed.lower()
    imported = subprocess.run(
        (python, "-c", "import sightline_serving.gateway.app, sys; print(sorted(sys.modules))"),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout
    assert "sightline_serving.gateway.app" in imported
    assert "tensorflow" not in imported
    command = (str(home / "bin" / "sightline-gateway"),)
    with running(serving.target, command=command) as gateway:
        answer = httpx.post(f"{gateway.url}/v1/detect", content=jpeg(), timeout=20).json()
        assert [found["label"] for found in answer["detections"]] == ["R2-D2", "BB-8"]
        assert gateway.stop() == 0
