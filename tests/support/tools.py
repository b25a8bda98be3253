"""What tests need beyond Python: commands and real data. A machine may lack them; CI may not."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

REQUIRE = "TESTS_REQUIRE_TOOLS"  # set by .ci/run: what is missing is a failure there, not a skip


def tool(name: str) -> str:
    """The path of a command; a test without it is skipped, or fails where everything is to be there."""
    beside_python = shutil.which(name, path=str(Path(sys.executable).parent))
    return beside_python or shutil.which(name) or missing(f"{name} is not installed")


def missing(what: str) -> NoReturn:
    """Ends the test: it needs what this machine does not have."""
    if os.environ.get(REQUIRE):
        pytest.fail(f"{what}, and {REQUIRE} is set", pytrace=False)
    pytest.skip(what)
