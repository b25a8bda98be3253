"""The pixels of a data set, decoded once and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sightline.errors import InputError
from sightline.geometry import Stretch
from sightline.images import decode
from sightline_training.examples import Example

_THREADS: Final = 4  # decoding works outside the interpreter's lock


def load_picture(example: Example, size: Stretch) -> NDArray[np.uint8]:
    """A picture's upright RGB pixels, stretched to `size`: uint8 [height, width, 3].

    Raises:
        InputError: the picture does not decode; its name stands before the reason.
    """
    try:
        picture = decode(example.read(), at_least=(size.height, size.width))
    except InputError as fault:
        raise InputError(f"{example.path}: {fault.detail}") from fault
    return size.apply(picture.pixels)


def load_pictures(
    examples: Sequence[Example], size: Stretch, *, progress: Callable[[int], None] = lambda _: None
) -> NDArray[np.uint8]:
    """All pictures of a data set: uint8 [n, height, width, 3]."""
    pixels = np.empty((len(examples), size.height, size.width, 3), np.uint8)
    with ThreadPoolExecutor(_THREADS) as pool:
        for index, loaded in enumerate(pool.map(lambda example: load_picture(example, size), examples)):
            pixels[index] = loaded
            progress(1)
    return pixels


def padded_boxes(
    examples: Sequence[Example], ids: Callable[[str], int]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Boxes of all pictures, padded to the fullest one's number.

    Args:
        examples: the pictures.
        ids: label -> class id; a difficult box is given -1 instead.

    Returns:
        Corners float32 [n, B, 4], ymin xmin ymax xmax, and class ids int32 [n, B], 0 where padded.
    """
    most = max(1, *(len(example.boxes) for example in examples), 1)
    corners = np.zeros((len(examples), most, 4), np.float32)
    class_ids = np.zeros((len(examples), most), np.int32)
    for row, example in enumerate(examples):
        count = len(example.boxes)
        corners[row, :count] = example.corners()
        class_ids[row, :count] = [-1 if box.difficult else ids(box.label) for box in example.boxes]
    return corners, class_ids
