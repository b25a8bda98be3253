"""The work that every peer does for a picture, called in process.

Read in one of two ways: as the guides do (Pillow opens the picture, decoded in full), or with Sightline's
own decoder, so that what differs is the server alone. Resize, thresholds and rounding are the same.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.null_serving import LABELS, SIDE, fixed_detections
from sightline import allocator
from sightline.contract import (
    DETECTION_OUTPUTS,
    INPUT_IMAGES,
    OUTPUT_BOXES,
    OUTPUT_CLASSES,
    OUTPUT_COUNT,
    OUTPUT_SCORES,
    SIGNATURE_PIXELS,
)
from sightline.detections import ImageSize
from sightline.families import RawDetections
from sightline.geometry import Stretch
from sightline.images import Picture, decode
from sightline.options import DetectOptions
from sightline.postprocess import select

MODEL_VARIABLE: Final = "BENCH_MODEL"  # a version folder; unset for no model
DECODER_VARIABLE: Final = "BENCH_DECODER"  # `ours` for Sightline's decoder; else as the guides do
_DETECTIONS: Final = 3  # found in every picture where there is no model

Outputs = dict[str, NDArray[np.float32]]


class Predictor:
    """From encoded bytes to plain values."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        self._open = _as_guides_do
        if os.environ.get(DECODER_VARIABLE) == "ours":
            allocator.keep_large_blocks()
            self._open = _as_we_do
        folder = os.environ.get(MODEL_VARIABLE)
        self._run = load_model(Path(folder)) if folder else _no_model
        self._resize = Stretch(SIDE, SIDE)

    def __call__(self, data: bytes) -> dict[str, Any]:
        picture = self._open(data)
        found = self._run(self._resize.apply(picture.pixels)[np.newaxis])
        count = int(found[OUTPUT_COUNT][0])
        raw = RawDetections(
            found[OUTPUT_BOXES][0, :count].tolist(),
            found[OUTPUT_SCORES][0, :count].tolist(),
            found[OUTPUT_CLASSES][0, :count].astype(np.int64).tolist(),
        )
        size = ImageSize(picture.width, picture.height)
        return {
            "image": {"width": size.width, "height": size.height},
            "detections": [
                {"label": one.label, "score": one.score, "box_normalized": list(one.box_normalized)}
                for one in select(raw, size, DetectOptions(), LABELS, {})
            ],
        }


def _as_guides_do(data: bytes) -> Picture:
    """Pillow, in full; what LitServe's and BentoML's examples for pictures do."""
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    return Picture(np.asarray(upright), upright.width, upright.height)


def _as_we_do(data: bytes) -> Picture:
    return decode(data, at_least=(SIDE, SIDE))


def _no_model(pixels: NDArray[np.uint8]) -> Outputs:
    return {name: np.asarray(array)[np.newaxis] for name, array in fixed_detections(_DETECTIONS).items()}


def load_model(
    folder: Path, *, threads: int = 0, rewrites: str = ""
) -> Callable[[NDArray[np.uint8]], Outputs]:
    """The pixel signature of a version folder, as the cheapest callable TensorFlow offers.

    Args:
        folder: `…/<version>`.
        threads: that share one op; 0 lets TensorFlow choose. The first session of a process decides for all.
        rewrites: of the graph, as a RewriterConfig's text.
    """
    import tensorflow as tf
    from google.protobuf import text_format

    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads)
    text_format.Parse(rewrites, config.graph_options.rewrite_options)
    session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    with session.graph.as_default():
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        signature = meta.signature_def[SIGNATURE_PIXELS]
        call = session.make_callable(
            [signature.outputs[name].name for name in DETECTION_OUTPUTS],
            feed_list=[signature.inputs[INPUT_IMAGES].name],
        )

    def run(pixels: NDArray[np.uint8]) -> Outputs:
        return dict(zip(DETECTION_OUTPUTS, call(pixels), strict=True))

    return run
