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
_BLOCK: Final = 256  # pictures held against all before them at once


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


def near_groups(examples: Sequence[Example]) -> list[list[int]]:
    """Group pictures so that no two that are nearly the same, mirrored or not, stand in different groups.

    Returns:
        The pictures' indices; a picture with no like is a group of one. Ordered by first index.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        pairs = list(pool.map(_hashes, examples))  # of large sets, all pixels would be gigabytes
    hashes, mirrored = (np.array(half) for half in zip(*pairs, strict=True))
    return grouped(hashes, mirrored)


def grouped(hashes: NDArray[np.bool_], mirrored: NDArray[np.bool_], *, near: float = NEAR) -> list[list[int]]:
    """As `near_groups`, from the hashes.

    Args:
        hashes: bool [n, bits], of the pictures.
        mirrored: the same of their mirror images.
        near: share of differing bits up to which two are alike.
    """
    leaders = list(range(len(hashes)))

    def leader(index: int) -> int:
        while leaders[index] != index:
            leaders[index] = leaders[leaders[index]]
            index = leaders[index]
        return index

    # As -1 and 1, whose product counts like bits less unlike ones: the pairs of a large set are billions,
    # and nothing is quicker at them than a matrix product. Whole numbers so small are exact in float32.
    plain, turned = (2 * half.astype(np.float32) - 1 for half in (hashes, mirrored))
    least = hashes.shape[1] * (1 - 2 * near)
    for start in range(0, len(hashes), _BLOCK):
        block = plain[start : start + _BLOCK]
        before = slice(0, start + len(block))
        alike = np.maximum(block @ plain[before].T, block @ turned[before].T) >= least
        for row, like in np.argwhere(np.tril(alike, start - 1)):
            first, second = sorted((leader(int(like)), leader(start + int(row))))
            leaders[second] = first
    groups: dict[int, list[int]] = {}
    for index in range(len(hashes)):
        groups.setdefault(leader(index), []).append(index)
    return list(groups.values())
