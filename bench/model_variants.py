"""What the model itself costs, one variant after the other, in a process of its own.

python -m bench.model_variants VERSION_FOLDER PICTURE ROUNDS      # -> JSON
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.null_serving import SIDE
from sightline.geometry import Stretch
from sightline.images import decode

_TURNS: Final = 12  # images a round
_BATCHES: Final = (4, 8)

SUPPRESSION: Final = "suppression alone"

Work = Callable[[], Any]


def main() -> None:
    """Measure every variant once a round."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    variants = _variants(Path(sys.argv[1]), Path(sys.argv[2]))
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for _ in range(int(sys.argv[3])):
        for name, (images, work) in variants.items():
            taken[name].append(_measure(images, work))
    json.dump(taken, sys.stdout)


def _measure(images: int, work: Work) -> dict[str, float]:
    work()
    turns = max(1, _TURNS // images)
    cpu, begun = time.process_time(), time.perf_counter()
    for _ in range(turns):
        work()
    count = turns * images
    return {
        "cpu_ms": (time.process_time() - cpu) * 1000 / count,
        "wall_ms": (time.perf_counter() - begun) * 1000 / count,
    }


def _variants(version: Path, file: Path) -> dict[str, tuple[int, Work]]:
    """Name -> images a call, and the call."""
    from bench.peers.predictor import load_model

    picture = decode(file.read_bytes(), at_least=(SIDE, SIDE))
    pixels = Stretch(SIDE, SIDE).apply(picture.pixels)[np.newaxis]
    one = load_model(version, intra=1, inter=1)
    two = load_model(version, intra=2, inter=1)
    usual = load_model(version)
    variants: dict[str, tuple[int, Work]] = {
        "as served: TensorFlow's own threads": (1, lambda: usual(pixels)),
        "one thread": (1, lambda: one(pixels)),
        "two threads": (1, lambda: two(pixels)),
    }
    for size in _BATCHES:
        batch = np.repeat(pixels, size, axis=0)
        variants[f"two threads, batch of {size}"] = (size, lambda batch=batch: two(batch))  # type: ignore[misc]
    return variants | _graph_variants(version, pixels)


def _graph_variants(version: Path, pixels: Any) -> dict[str, tuple[int, Work]]:
    """The graph taken apart (with TensorFlow's own threads), frozen, and in other arithmetic."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    loaded = tf.saved_model.load(str(version))  # held on to: a signature does not keep its variables
    frozen = convert_variables_to_constants_v2(loaded.signatures["serving_default"])
    held = tf.constant(pixels)
    suppressions = [op for op in frozen.graph.get_operations() if op.type == "CombinedNonMaxSuppression"]
    network = frozen.prune(
        [tensor.name for tensor in frozen.inputs], [tensor.name for tensor in suppressions[0].inputs[:2]]
    )
    found = network(held)
    suppression = frozen.prune(
        [tensor.name for tensor in suppressions[0].inputs[:2]],
        [tensor.name for tensor in suppressions[0].outputs],
    )
    variants: dict[str, tuple[int, Work]] = {
        "frozen: weights as constants": (1, lambda: frozen(held)),
        "frozen, without suppression": (1, lambda: network(held)),
        SUPPRESSION: (1, lambda: suppression(*found)),
    }

    # A graph is rewritten at its first run, under the options of that moment.
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    short = convert_variables_to_constants_v2(loaded.signatures["serving_default"])
    short(held)
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": False})
    variants["frozen, bfloat16 by oneDNN"] = (1, lambda: short(held))
    compiled = tf.function(network, jit_compile=True)
    compiled(held)
    variants["frozen, without suppression, XLA"] = (1, lambda: compiled(held))
    return variants


if __name__ == "__main__":
    main()
