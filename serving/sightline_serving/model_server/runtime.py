"""TensorFlow, imported once and kept quiet.

Everything here that runs TensorFlow takes it from this module, so that its start-up chatter is turned down
before the import and stays a matter of one file.
"""

from __future__ import annotations

import logging
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only; the runtime greets in INFO

import tensorflow as tf

# The TF1 loader is deprecated in Python, and yet what the C++ server's loader does.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

__all__ = ["tf"]
