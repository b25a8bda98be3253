"""Environments of their own for extras that do not fit into the one that the tests run in."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[2]
_INSTALL_LIMIT = 900  # seconds


def environment(extra: str) -> Path:
    """The Python of an environment with `sightline[extra]`; kept under build/ until its makings change."""
    made_of = [_REPOSITORY / "constraints.txt", _REPOSITORY / "client" / "pyproject.toml"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_of)).hexdigest()
    folder = _REPOSITORY / "build" / "envs" / extra
    python, ready = folder / "bin" / "python", folder / "made-of"
    if ready.exists() and ready.read_text() == digest:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=_INSTALL_LIMIT)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = ["-c", "constraints.txt", "-e", f"client[{extra}]"]
    subprocess.run([*install, *wanted], check=True, timeout=_INSTALL_LIMIT, cwd=_REPOSITORY)
    ready.write_text(digest)
    return python


def run_in(python: Path, script: str, *arguments: object, limit: float) -> str:
    """What a script prints; its failure, with what it said, is the test's."""
    environ = {**os.environ, "PYTHONPATH": str(_REPOSITORY / "tests")}
    command = [str(python), "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout
