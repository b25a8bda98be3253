"""Pictures that are nearly the same, told by perceptual hashes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.geometry import Stretch
from sightline_training.examples import Example
from sightline_training.pictures import load_picture

_READ: Final = Stretch(144, 144)  # pixels at which a picture is read to be hashed
_SIDE: Final = 16  # cells of a hash each way: 256 bits tell scenes apart that 64 confuse
NEAR: Final = 0.25  # share of differing bits up to which two pictures show one scene; chance gives 0.5
_THREADS: Final = 4


def picture_hash(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The difference hash of RGB pixels: whether brightness rises from cell to cell, left to right.

    It stays as it is under scaling, recompression and changes of light (Krawetz 2013, "Kind of like that").
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    cells = cv2.resize(grey, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.asarray(np.diff(cells, axis=1) > 0).ravel()


def _hashes(example: Example) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of a picture and of its mirror image."""
    pixels = load_picture(example, _READ)
    return picture_hash(pixels), picture_hash(np.ascontiguousarray(pixels[:, ::-1]))


def near_groups(examples: Sequence[Example], *, near: float = NEAR) -> list[list[int]]:
    """Group pictures so that no two that are nearly the same, mirrored or not, stand in different groups.

    Returns:
        The pictures' indices; a picture with no like is a group of one. Ordered by first index.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        pairs = list(pool.map(_hashes, examples))  # of large sets, all pixels would be gigabytes
    hashes, mirrored = (np.array(half) for half in zip(*pairs, strict=True))
    leaders = list(range(len(examples)))

    def leader(index: int) -> int:
        while leaders[index] != index:
            leaders[index] = leaders[leaders[index]]
            index = leaders[index]
        return index

    for index, bits in enumerate(hashes):
        away = np.minimum((hashes[:index] != bits).mean(1), (mirrored[:index] != bits).mean(1))
        for like in np.flatnonzero(away <= near):
            first, second = sorted((leader(int(like)), leader(index)))
            leaders[second] = first
    groups: dict[int, list[int]] = {}
    for index in range(len(examples)):
        groups.setdefault(leader(index), []).append(index)
    return list(groups.values())
