"""TensorFlow's start, without the page that it writes to standard error."""

from __future__ import annotations

import logging
import os
import sys
import tempfile


def start_tensorflow() -> None:
    """Import TensorFlow and find its devices; what it says meanwhile is shown only if it fails.

    The greetings come from C++ before any log level is heard, so the stream itself is held back.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_logical_devices()
            # oneDNN remarks once, as an error, that it leaves uint8 to TensorFlow on most machines.
            tf.function(tf.transpose)(tf.zeros((2, 2), tf.uint8))
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # the v1 loader is used on purpose
