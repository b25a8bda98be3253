"""A picture and the least that a gateway answers to it, for tests of its clients."""

from __future__ import annotations

import numpy as np

from sightline.images import encode_jpeg

DARK = encode_jpeg(np.full((90, 120, 3), 20, np.uint8))
ANSWER = {
    "id": "1",
    "model": {"name": "droids", "version": 1},
    "image": {"width": 2, "height": 2},
    "detections": [],
}
