"""TensorFlow's start, without the page that it writes to standard error."""

from __future__ import annotations

import logging
import os

from sightline.held_stderr import held_stderr


def start_tensorflow() -> None:
    """Import TensorFlow and find its devices; what it says meanwhile is shown only if it fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with held_stderr():
        import tensorflow as tf

        tf.config.list_logical_devices()
        # oneDNN remarks once, as an error, that it leaves uint8 to TensorFlow on most machines.
        tf.function(tf.transpose)(tf.zeros((2, 2), tf.uint8))
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # the v1 loader is used on purpose
