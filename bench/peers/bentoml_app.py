"""BentoML, as its guide's service for files: a path in, a dictionary out; two workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bentoml

from bench.peers.predictor import Predictor


@bentoml.service(workers=2)
class Detect:
    """What BentoML asks for."""

    def __init__(self) -> None:
        self.predictor = Predictor()

    @bentoml.api
    def detect(self, image: Path) -> dict[str, Any]:
        return self.predictor(image.read_bytes())
