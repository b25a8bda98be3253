"""The anchors of an SSD, as the Object Detection API lays them out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_SCALE: Final = 0.2  # of the picture, on the finest map
MAX_SCALE: Final = 0.95  # on the coarsest
ASPECT_RATIOS: Final = (1.0, 2.0, 0.5, 3.0, 0.3333)
LOWEST_BOXES: Final = ((0.1, 1.0), (MIN_SCALE, 2.0), (MIN_SCALE, 0.5))  # `reduce_boxes_in_lowest_layer`


def anchors_per_cell(maps: int) -> tuple[int, ...]:
    """How many anchors stand on each cell of each feature map, finest map first."""
    return tuple(len(boxes) for boxes in _boxes_of_maps(maps))


def make_anchors(grids: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """The anchors of feature maps in the order of the predictors' outputs: map, row, column, box.

    Args:
        grids: (rows, columns) of each feature map, finest first.

    Returns:
        float32 [A, 4], center y, center x, height, width, 0 to 1; not clipped to the picture. For a
        300 x 300 input A is 1917.

    Source: `object_detection/anchor_generators/multiple_grid_anchor_generator.py`, create_ssd_anchors.
    """
    layers = []
    for (rows, columns), boxes in zip(grids, _boxes_of_maps(len(grids)), strict=True):
        scales, ratios = np.array(boxes, np.float64).T
        heights, widths = scales / np.sqrt(ratios), scales * np.sqrt(ratios)
        y = (np.arange(rows) + 0.5) / rows
        x = (np.arange(columns) + 0.5) / columns
        grid = np.empty((rows, columns, len(boxes), 4), np.float32)
        grid[..., 0] = y[:, None, None]
        grid[..., 1] = x[None, :, None]
        grid[..., 2] = heights
        grid[..., 3] = widths
        layers.append(grid.reshape(-1, 4))
    return np.concatenate(layers)


def _boxes_of_maps(maps: int) -> list[tuple[tuple[float, float], ...]]:
    """(scale, aspect ratio) of the boxes on a cell of each map."""
    scales = [*np.linspace(MIN_SCALE, MAX_SCALE, maps), 1.0]
    boxes: list[tuple[tuple[float, float], ...]] = [LOWEST_BOXES]
    for scale, following in pairwise(scales[1:]):
        between = math.sqrt(scale * following)  # one more square between this map's size and the next's
        boxes.append((*((float(scale), ratio) for ratio in ASPECT_RATIOS), (between, 1.0)))
    return boxes
