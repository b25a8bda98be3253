"""What the model itself costs, one variant after the other, with as many threads as TensorFlow chooses.

The process stays up between rounds.

    python -m bench.model_variants VERSION_FOLDER PICTURE      # a line -> all variants, as JSON on a line
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

SERVED: Final = "as served"
SUPPRESSION: Final = "suppression alone"
# ConfigProtos, as text.
_REWRITES: Final = "graph_options { rewrite_options { %s } }"
_SESSIONS: Final = {
    "as the model server runs it": "",
    "graph optimizer off": _REWRITES % "disable_meta_optimizer: true",
    "fusing off": _REWRITES % "remapping: OFF",
    "bfloat16 (--mixed_precision=bfloat16)": _REWRITES % "auto_mixed_precision_onednn_bfloat16: ON",
}
_CALIBRATION: Final = 8  # pictures for the ranges of 8-bit numbers

Work = Callable[[], Any]


def main() -> None:
    """Measure every variant for each line of the input, until it ends."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    answers = sys.stdout
    variants = _variants(Path(sys.argv[1]), Path(sys.argv[2]))
    for _ in sys.stdin:
        taken = {name: _measure(images, work) for name, (images, work) in variants.items()}
        print(json.dumps(taken), file=answers, flush=True)


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
    run = load_model(version)
    variants: dict[str, tuple[int, Work]] = {SERVED: (1, lambda: run(pixels))}
    for size in _BATCHES:
        batch = np.repeat(pixels, size, axis=0)
        variants[f"batch of {size}"] = (size, lambda batch=batch: run(batch))  # type: ignore[misc]
    return variants | _session_variants(version, pixels) | _graph_variants(version, pixels)


def _graph_variants(version: Path, pixels: Any) -> dict[str, tuple[int, Work]]:
    """The graph taken apart, frozen, and in other arithmetic."""
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
    compiled = tf.function(network, jit_compile=True)
    compiled(held)
    variants["frozen, without suppression, XLA"] = (1, lambda: compiled(held))
    return variants | _lite_variants(network, pixels)


def _session_variants(version: Path, pixels: Any) -> dict[str, tuple[int, Work]]:
    """As the model server runs it, in sessions that are told how to rewrite the graph.

    Not by `tf.config.optimizer`: a signature that was loaded is run without its options.
    """
    from google.protobuf import text_format
    from tensorflow.core.protobuf import config_pb2

    from sightline_serving.model_server.saved_model import load_saved_model

    variants: dict[str, tuple[int, Work]] = {}
    for name, options in _SESSIONS.items():
        servable = load_saved_model(
            "model", 1, version, config=text_format.Parse(options, config_pb2.ConfigProto())
        )
        signature = servable.signatures["serving_default"]
        (fed,) = (info.name for info in signature.inputs.values())
        fetched = [info.name for info in signature.outputs.values()]
        variants[f"session, {name}"] = (
            1,
            lambda servable=servable, fed=fed, fetched=fetched: servable.session.run(
                {fed: pixels}, fetched, None
            ),  # type: ignore[misc]
        )
    return variants


def _lite_variants(network: Any, pixels: Any) -> dict[str, tuple[int, Work]]:
    """The network without suppression by TFLite's kernels (XNNPACK), in float32 and in 8 bits."""
    import tensorflow as tf

    def convert(*, whole_numbers: bool) -> bytes:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([network])
        if whole_numbers:
            noise = np.random.default_rng(0)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: (
                [np.clip(pixels + noise.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)]
                for _ in range(_CALIBRATION)
            )
        return bytes(converter.convert())

    variants: dict[str, tuple[int, Work]] = {}
    for name, whole_numbers in (("float32", False), ("int8", True)):
        content = convert(whole_numbers=whole_numbers)
        for threads in (1, 2):
            run = _lite(content, pixels, threads)
            variants[f"TFLite, {name}, without suppression, {threads} thread{'s' * (threads > 1)}"] = (1, run)
    return variants


def _lite(content: bytes, pixels: Any, threads: int) -> Work:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=content, num_threads=threads)
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, pixels.shape)
    interpreter.allocate_tensors()
    outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def run() -> list[Any]:
        interpreter.set_tensor(place, pixels)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run


if __name__ == "__main__":
    main()
