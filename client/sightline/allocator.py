"""Telling glibc to keep the memory of pictures, for programs that decode one after the other.

A decoded picture is a block of a megabyte or so, taken and given back at every request. By default glibc
returns such blocks to the kernel each time, and every new one is faulted in page by page: a third of what
a request costs. Kept, they are used again. docs/decisions/0060 has the numbers.
"""

from __future__ import annotations

import ctypes
from typing import Final

# parameters of mallopt(3), from malloc.h
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3

_MIB: Final = 2**20  # bytes
_KEPT: Final = (
    (_M_MMAP_THRESHOLD, 8 * _MIB),  # larger blocks still go back at once; 1080p decoded is 6 MiB
    (_M_TRIM_THRESHOLD, 32 * _MIB),  # free memory at the end of an arena, beyond which it goes back
    (_M_TOP_PAD, 4 * _MIB),  # an arena grows by so much at once
)


def keep_large_blocks() -> bool:
    """Set it for this process, from now on; says whether the C library took it.

    For a program to call at its start, not for the library: it holds for everything in the process.
    Elsewhere than on glibc it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(parameter, value) == 1 for parameter, value in _KEPT)
