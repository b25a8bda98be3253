"""TensorFlow's errors as the ones that Python's own files raise."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import tensorflow as tf

_PLACE_IN_GRAPH: Final = re.compile(r"\{\{[^}]*\}\}\s*|\s*\[Op:.*", re.DOTALL)


def plain(fault: tf.errors.OpError) -> str:
    """What went wrong, without the name of the operation that it went wrong in."""
    return _PLACE_IN_GRAPH.sub("", str(fault.message)).strip()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what TensorFlow raises while it writes into an OSError that names `path`.

    Raises:
        OSError: with ENOSPC where the disk is full, else with EIO and TensorFlow's own words.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
    except tf.errors.OpError as fault:
        raise OSError(errno.EIO, plain(fault), str(path)) from None
