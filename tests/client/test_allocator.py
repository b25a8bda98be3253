"""The allocator's setting, in a process of its own, as it holds for the whole process."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

FAULTS = """
import json, resource, sys
import numpy as np
from sightline.allocator import keep_large_blocks

kept = keep_large_blocks() if sys.argv[1] == "kept" else None
def turn():
    blocks = [np.ones(2 * 2**20, np.uint8) for _ in range(8)]  # as decoded pictures come and go
for _ in range(5):
    turn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    turn()
print(json.dumps([kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before]))
"""


def faults(how: str) -> tuple[bool | None, int]:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True, timeout=60
    )
    kept, count = json.loads(done.stdout)
    return kept, count


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is a setting of glibc's")
def test_memory_of_pictures_is_used_again_instead_of_being_faulted_in() -> None:
    kept, few = faults("kept")
    _, many = faults("as it is")
    assert kept is True
    assert few < many / 10
