"""One picture's boxes as arrays, as the doctor reckons with them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class BoxArrays(NamedTuple):
    """What a model found in a picture, scores falling."""

    boxes: NDArray[np.float32]  # [M, 4] ymin xmin ymax xmax, 0 to 1
    scores: NDArray[np.float32]  # [M] 0 to 1
    classes: NDArray[np.int64]  # [M] ids, from 1
