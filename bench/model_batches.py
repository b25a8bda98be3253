"""The model called in process, a batch at a time: what batching gains, and what a GPU leaves to the host.

The process stays up between rounds.

    python -m bench.model_batches VERSION_FOLDER PICTURE VARIANTS SIZE...

VARIANTS is `all`, or `served` for the model as it is served and no other. A line -> every variant and size,
as JSON on a line. A variant that cannot be built here is told as its error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.null_serving import SIDE
from sightline.contract import OUTPUT_BOXES, OUTPUT_CLASSES, OUTPUT_SCORES
from sightline.geometry import Stretch
from sightline.images import decode

ALL, ALONE = "all", "served"  # the choices of variants
SERVED: Final = "as served"
HALF: Final = "float16 (auto mixed precision)"
NETWORK: Final = "without suppression"
XLA: Final = "without suppression, XLA"
_SECONDS: Final = 0.4  # for each size in a round
_LEAST: Final = 3  # batches

Run = Callable[[NDArray[np.uint8]], Any]


def main() -> None:
    """Answer each line of the input, until it ends."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    answers = sys.stdout
    version, sizes = Path(sys.argv[1]), [int(size) for size in sys.argv[4:]]
    picture = decode(Path(sys.argv[2]).read_bytes(), at_least=(SIDE, SIDE))
    pixels = Stretch(SIDE, SIDE).apply(picture.pixels)[np.newaxis]
    variants, failed = _variants(version, pixels, {} if sys.argv[3] == ALONE else _OTHERS)
    for _ in sys.stdin:
        told = {
            name: {size: _measure(run, np.repeat(pixels, size, axis=0)) for size in sizes}
            for name, run in variants.items()
        }
        found = variants[SERVED](pixels)
        boxes = {name: found[name][0].tolist() for name in (OUTPUT_BOXES, OUTPUT_SCORES, OUTPUT_CLASSES)}
        print(json.dumps({"taken": told, "failed": failed, "found": boxes}), file=answers, flush=True)


def _measure(run: Run, batch: NDArray[np.uint8]) -> dict[str, float]:
    run(batch)  # cuDNN tunes for each shape it meets
    run(batch)
    cpu, begun, turns = time.process_time(), time.perf_counter(), 0
    while turns < _LEAST or time.perf_counter() < begun + _SECONDS:
        run(batch)
        turns += 1
    seconds = time.perf_counter() - begun
    images = turns * len(batch)
    return {
        "batch_ms": seconds * 1000 / turns,
        "per_second": images / seconds,
        "cpu_ms": (time.process_time() - cpu) * 1000 / images,
    }


def _variants(
    version: Path, pixels: NDArray[np.uint8], others: Mapping[str, Callable[[Path], Run]]
) -> tuple[dict[str, Run], dict[str, str]]:
    """What runs, by name; and what does not, with the reason."""
    from bench.peers.predictor import load_model

    made: dict[str, Run] = {SERVED: load_model(version)}
    failed = {}
    for name, make in others.items():
        try:
            run = make(version)
            run(pixels)
            made[name] = run
        except Exception as fault:  # TensorFlow's errors are of many types; the report names them
            failed[name] = f"{type(fault).__name__}: {str(fault).strip().splitlines()[0][:200]}"
    return made, failed


def _half(version: Path) -> Run:
    from bench.peers.predictor import load_model

    return load_model(version, rewrites="auto_mixed_precision: ON")


def _network(version: Path, *, compiled: bool = False) -> Run:
    """Up to the boxes and scores that suppression is given."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    loaded = tf.saved_model.load(str(version))
    frozen = convert_variables_to_constants_v2(loaded.signatures["serving_default"])
    (suppression,) = (op for op in frozen.graph.get_operations() if op.type == "CombinedNonMaxSuppression")
    network = frozen.prune(
        [tensor.name for tensor in frozen.inputs], [tensor.name for tensor in suppression.inputs[:2]]
    )
    call = tf.function(network, jit_compile=True) if compiled else network
    return lambda batch: [tensor.numpy() for tensor in call(tf.constant(batch))]


def _compiled(version: Path) -> Run:
    return _network(version, compiled=True)


_OTHERS: Final[Mapping[str, Callable[[Path], Run]]] = {HALF: _half, NETWORK: _network, XLA: _compiled}


if __name__ == "__main__":
    main()
