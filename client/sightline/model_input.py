"""A picture on its way into a model: loaded, decoded, resized."""

from __future__ import annotations

import time
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.detections import ImageSize, ms_since
from sightline.errors import InputError
from sightline.geometry import Fit, Stretch
from sightline.images import Encoded, Picture, turn
from sightline.inputs import ImageInput, load

Loaded: TypeAlias = bytes | NDArray[np.uint8] | Picture


class ModelInput(NamedTuple):
    """A picture as the model takes it."""

    pixels: NDArray[np.uint8]  # [H, W, 3] of the model, RGB
    size: ImageSize  # of the full upright picture
    decode_ms: float
    resize_ms: float


def load_picture(image: ImageInput | Picture) -> Loaded | InputError:
    """As `inputs.load`; what is wrong is given, not raised, as its neighbours are answered all the same."""
    if isinstance(image, Picture):
        return image
    try:
        return load(image)
    except InputError as fault:
        return fault


def make_ready(loaded: Encoded | NDArray[np.uint8] | Picture, resize: Stretch | Fit) -> ModelInput:
    """Decode and resize; what is decoded here is turned once it has fewer pixels.

    Raises:
        TruncatedImageError: the pixels do not decode.
    """
    begun = time.perf_counter()
    if isinstance(loaded, Encoded):
        picture = loaded.decode(upright=False)
    elif isinstance(loaded, Picture):
        picture = loaded
    else:
        picture = Picture(loaded, width=loaded.shape[1], height=loaded.shape[0])
    decode_ms, at = ms_since(begun), time.perf_counter()
    pixels = (resize.sideways if picture.sideways else resize).apply(picture.pixels)
    if isinstance(loaded, Encoded):
        pixels = turn(pixels, picture.orientation)
    return ModelInput(pixels, ImageSize(picture.width, picture.height), decode_ms, ms_since(at))
