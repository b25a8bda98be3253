"""Names of files and folders in a data set."""

from __future__ import annotations

from typing import Final

IMAGES: Final = "images"
ANNOTATIONS: Final = "annotations"
LABEL_MAP: Final = "label_map.pbtxt"
