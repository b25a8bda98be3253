"""The C library's memory: kept between requests, given back when a version goes."""

from __future__ import annotations

import ctypes
import gc
from typing import Any, Final

# Of mallopt(3), with what to set it to, in bytes.
_M_TRIM_THRESHOLD: Final = (-1, 256 << 20)
_M_MMAP_THRESHOLD: Final = (-3, 32 << 20)


def keep_for_requests() -> None:
    """Let glibc keep what a large request needed for the next one, instead of faulting it in each time."""
    mallopt = _libc("mallopt")
    if mallopt is not None:
        for option, size in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            mallopt(option, size)


def give_back() -> None:
    """Collect what is left of an unloaded model, and return it to the system.

    A Python graph is full of cycles, which only the collector ends; and glibc keeps what was freed until it
    is told to trim.
    """
    gc.collect()
    trim = _libc("malloc_trim")
    if trim is not None:
        trim(0)


def _libc(name: str) -> Any:
    """A function that only glibc has; None elsewhere."""
    return getattr(ctypes.CDLL(None), name, None)
