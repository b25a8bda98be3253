"""Asks one served model what the checks want to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.contract import (
    DETECTION_OUTPUTS,
    INPUT_IMAGES,
    INPUT_QUERY,
    OUTPUT_BOXES,
    OUTPUT_CARD,
    OUTPUT_CLASSES,
    OUTPUT_COUNT,
    OUTPUT_SCORES,
    SIGNATURE_CARD,
    SIGNATURE_ENCODED,
    SIGNATURE_PIXELS,
    ModelRef,
)
from sightline.doctor.box_arrays import BoxArrays
from sightline.signatures import Signature
from sightline.tf_serving import ServingStub

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Probe:
    """A model version on a server. Raises what the stub raises."""

    stub: ServingStub
    ref: ModelRef
    signatures: Mapping[str, Signature]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels that it takes."""
        return np.dtype(self.signatures[SIGNATURE_PIXELS].inputs[INPUT_IMAGES].dtype)

    @property
    def joins(self) -> bool:
        """Whether its signature takes several pictures at once."""
        shape = self.signatures[SIGNATURE_PIXELS].inputs[INPUT_IMAGES].shape
        return shape is None or shape[0] < 0

    def ask(self, pixels: NDArray[Any]) -> Outputs:
        """The detections for [N, H, W, 3] in one request."""
        inputs = {INPUT_IMAGES: pixels.astype(self.dtype)}
        answer = self.stub.predict(self.ref, inputs, signature=SIGNATURE_PIXELS, outputs=DETECTION_OUTPUTS)
        return dict(answer.outputs)

    def alone(self, pictures: Sequence[NDArray[Any]]) -> list[BoxArrays]:
        """The boxes for each [H, W, 3], a request each."""
        return [raw(self.ask(picture[np.newaxis]), 0) for picture in pictures]

    def encoded(self, pictures: Sequence[bytes]) -> list[BoxArrays]:
        """The boxes for encoded pictures, a request each."""
        found = []
        for picture in pictures:
            inputs = {INPUT_IMAGES: np.array([picture], object)}
            answer = self.stub.predict(
                self.ref, inputs, signature=SIGNATURE_ENCODED, outputs=DETECTION_OUTPUTS
            )
            found.append(raw(answer.outputs, 0))
        return found

    def cards(self, count: int) -> list[bytes]:
        """The card, asked for `count` times in one request."""
        query = np.array([b""] * count, object)
        answer = self.stub.predict(self.ref, {INPUT_QUERY: query}, signature=SIGNATURE_CARD)
        return list(answer.outputs[OUTPUT_CARD].ravel())


def raw(outputs: Outputs, row: int) -> BoxArrays:
    """One picture's boxes of an answer."""
    used = int(np.nan_to_num(outputs[OUTPUT_COUNT][row]))
    return BoxArrays(
        outputs[OUTPUT_BOXES][row, :used],
        outputs[OUTPUT_SCORES][row, :used],
        outputs[OUTPUT_CLASSES][row, :used].astype(np.int64),
    )
