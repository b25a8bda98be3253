"""What the routes are given to work with."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sightline.contract import ModelRef
from sightline.detector import Serving
from sightline_serving.gateway.fetching import Fetcher
from sightline_serving.gateway.gate import Gate
from sightline_serving.gateway.metrics import Metrics
from sightline_serving.gateway.requests import Limits
from sightline_serving.gateway.settings import Settings
from sightline_serving.gateway.shadow import Rollout, Shadow


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one gateway."""

    settings: Settings
    detector: Serving
    metrics: Metrics
    gate: Gate
    limits: Limits
    fetcher: Fetcher
    rollout: Rollout
    shadow: Shadow | None  # None: nothing is mirrored

    def ref(self, model: str | None, version: int | None = None, label: str | None = None) -> ModelRef:
        """The model that a request for boxes names, or the default one; perhaps its canary."""
        return self._ref(model, version, label, random.random())  # noqa: S311 - a share, no secret

    def steady_ref(self, model: str | None, version: int | None = None, label: str | None = None) -> ModelRef:
        """As `ref`, and never the canary: for what describes a model."""
        return self._ref(model, version, label, 1.0)

    def _ref(self, model: str | None, version: int | None, label: str | None, chance: float) -> ModelRef:
        name = model or self.settings.model
        if name == self.settings.model and version is None and label is None:
            label = self.rollout.choose(chance)
        return ModelRef(name, version, label)
