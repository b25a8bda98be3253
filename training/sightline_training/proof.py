"""Whether a saved version does what the model in memory does, asked as TensorFlow Serving asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from sightline.contract import (
    DETECTION_OUTPUTS,
    INPUT_IMAGES,
    INPUT_QUERY,
    OUTPUT_BOXES,
    OUTPUT_CARD,
    OUTPUT_CLASSES,
    OUTPUT_SCORES,
    SIGNATURE_CARD,
    SIGNATURE_ENCODED,
    SIGNATURE_PIXELS,
    ModelCard,
)
from sightline.errors import SignatureError

_TOLERANCE: Final = 1e-3  # of scores and normalised boxes: what graph optimisation may change
_SURE: Final = 0.05  # score from which boxes are compared; below, they may come and go with the last digit
_COMPARED: Final = (OUTPUT_BOXES, OUTPUT_SCORES, OUTPUT_CLASSES)


class ServedModel:
    """A version folder in a session of TensorFlow's v1 loader, which is TensorFlow Serving's own way."""

    def __init__(self, folder: Path) -> None:
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            meta = tf.compat.v1.saved_model.load(self._session, ["serve"], str(folder))
        self._signatures = meta.signature_def

    def predict(self, signature: str, name: str, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Run a signature on one input."""
        known = self._signatures[signature]
        fetches = {key: tensor.name for key, tensor in known.outputs.items()}
        found: dict[str, NDArray[Any]] = self._session.run(fetches, {known.inputs[name].name: values})
        return found

    def close(self) -> None:
        """Free the session."""
        self._session.close()


def prove(
    folder: Path,
    pixels: NDArray[np.uint8],
    expected: Mapping[str, NDArray[np.float32]],
    card: ModelCard,
) -> None:
    """Hold a version folder against what the model in memory said.

    Args:
        folder: the version.
        pixels: uint8 [n, H, W, 3] RGB, n at least 1.
        expected: the contract's outputs for them.
        card: that went into it.

    Raises:
        SignatureError: the version fails, or answers otherwise.
    """
    try:
        served = ServedModel(folder)
        try:
            together = served.predict(SIGNATURE_PIXELS, INPUT_IMAGES, pixels)
            alone = [
                served.predict(SIGNATURE_PIXELS, INPUT_IMAGES, pixels[n : n + 1]) for n in range(len(pixels))
            ]
            png = np.array([tf.io.encode_png(picture).numpy() for picture in pixels], object)
            encoded = served.predict(SIGNATURE_ENCODED, INPUT_IMAGES, png)
            cards = served.predict(SIGNATURE_CARD, INPUT_QUERY, np.array([b"", b""], object))
        finally:
            served.close()
    except (tf.errors.OpError, KeyError, ValueError) as fault:
        raise SignatureError(
            f"the export does not run in a session, so no server can run it: {fault}"
        ) from fault
    apart = {name: np.concatenate([answer[name] for answer in alone]) for name in DETECTION_OUTPUTS}
    for way, answer in (("as a batch", together), ("one by one", apart), ("encoded", encoded)):
        _compare(way, answer, expected)
    if [ModelCard.from_dict(json.loads(text)) for text in cards[OUTPUT_CARD]] != [card, card]:
        raise SignatureError("the export gives another card than the one that went into it")


def _compare(
    way: str, answer: Mapping[str, NDArray[np.float32]], expected: Mapping[str, NDArray[np.float32]]
) -> None:
    if set(answer) != set(DETECTION_OUTPUTS):
        raise SignatureError(f"the export has the outputs {sorted(answer)}, not {sorted(DETECTION_OUTPUTS)}")
    sure = expected[OUTPUT_SCORES] >= _SURE
    away = np.abs(answer[OUTPUT_SCORES] - expected[OUTPUT_SCORES])[sure]
    if away.size and float(away.max()) > _TOLERANCE:
        raise SignatureError(
            f"the export, asked {way}, gives scores that differ by {away.max():.2g} from the model's own"
        )
    for number, kept in enumerate(sure):
        one, other = ({name: part[name][number] for name in _COMPARED} for part in (answer, expected))
        lost = _lost(one, other, kept)
        if lost:
            raise SignatureError(
                f"the export, asked {way}, lacks {lost} of {kept.sum()} boxes that the model gives "
                f"for picture {number}"
            )


def _lost(
    answer: Mapping[str, NDArray[np.float32]],
    expected: Mapping[str, NDArray[np.float32]],
    kept: NDArray[np.bool_],
) -> int:
    """How many of a picture's kept boxes have no like in the answer. Equal scores may change places."""
    like = np.ones((kept.sum(), len(answer[OUTPUT_SCORES])), bool)
    for name in _COMPARED:
        apart = np.abs(expected[name][kept][:, None] - answer[name][None])
        like &= (apart if apart.ndim == 2 else apart.max(-1)) <= _TOLERANCE
    return int((~like.any(1)).sum())
