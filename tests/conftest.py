"""What all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings
from support.tools import missing

# TensorFlow writes a page to stderr at its import; a test's output should be the test's.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# What a shell runs in the background ignores SIGINT, and so would commands that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("untimed", deadline=None)  # a busy machine is no fault of the code's
settings.load_profile("untimed")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photographs and weights, where they lie beside the checkout."""
    folder = Path(os.environ.get("SIGHTLINE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        missing(f"no real data at {folder}")
    return folder
