"""The module that is saved: the signatures of the serving contract over one detector."""

from __future__ import annotations

import json

import tensorflow as tf

from sightline.contract import (
    INPUT_IMAGES,
    INPUT_QUERY,
    OUTPUT_CARD,
    SIGNATURE_CARD,
    SIGNATURE_ENCODED,
    SIGNATURE_PIXELS,
    ModelCard,
)
from sightline_training.detector import Detector
from sightline_training.encoded import decode_batch


class ServedDetector(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """A detector and its card, as TensorFlow Serving runs them.

    Only the raw variables are tracked. Keras' own wrappers would save each of them twice and restore one:
    Python's loader fills both in, TensorFlow Serving does not, and every Predict fails.
    """

    def __init__(self, detector: Detector, card: ModelCard) -> None:
        super().__init__()
        self._detector = detector
        self._card = json.dumps(card.to_dict())
        self.raw_variables = [variable.value for variable in detector.model.variables]

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signature name -> traced function."""
        height, width = self._detector.architecture.height, self._detector.architecture.width
        pixels = tf.TensorSpec([None, height, width, 3], tf.uint8, name=INPUT_IMAGES)
        encoded = tf.TensorSpec([None], tf.string, name=INPUT_IMAGES)
        query = tf.TensorSpec([None], tf.string, name=INPUT_QUERY)

        def from_pixels(images: tf.Tensor) -> dict[str, tf.Tensor]:
            # Serving does not hold a request against the signature, and oneDNN's convolution ends the whole
            # process on a wrong rank. This operation refuses it as the caller's fault.
            checked = tf.raw_ops.EnsureShape(input=images, shape=pixels.shape)
            return self._detector.detect(checked)

        def from_encoded(images: tf.Tensor) -> dict[str, tf.Tensor]:
            return self._detector.detect(decode_batch(images, height, width))

        def from_query(query: tf.Tensor) -> dict[str, tf.Tensor]:
            # Repeated, not constant: Serving's batching joins and splits along the first dimension.
            return {OUTPUT_CARD: tf.fill(tf.shape(query), self._card)}

        return {
            SIGNATURE_PIXELS: tf.function(from_pixels, [pixels]).get_concrete_function(),
            SIGNATURE_ENCODED: tf.function(from_encoded, [encoded]).get_concrete_function(),
            SIGNATURE_CARD: tf.function(from_query, [query]).get_concrete_function(),
        }
