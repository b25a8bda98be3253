"""In how many digits a GPU multiplies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

_TF32 = tf.config.experimental


@contextmanager
def full_precision() -> Iterator[None]:
    """float32 as it is on CPUs.

    NVIDIA's GPUs from 2020 on otherwise round factors to TF32's ten bits of mantissa. On an H100 a picture's
    scores alone and in a batch then differed by 0.002, more than an export is allowed.
    """
    before = _TF32.tensor_float_32_execution_enabled()
    _TF32.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        _TF32.enable_tensor_float_32_execution(before)
