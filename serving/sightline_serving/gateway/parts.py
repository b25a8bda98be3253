"""What the routes are given to work with."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sightline.contract import ModelRef
from sightline.detector import Serving
from sightline.errors import ModelNotFoundError
from sightline_serving.gateway.ending import Ending
from sightline_serving.gateway.fetching import Fetcher
from sightline_serving.gateway.gate import Gate
from sightline_serving.gateway.ledger import Ledger
from sightline_serving.gateway.metrics import Metrics
from sightline_serving.gateway.observe import Noted
from sightline_serving.gateway.requests import Limits
from sightline_serving.gateway.security import Guard
from sightline_serving.gateway.settings import Settings
from sightline_serving.gateway.shadow import Rollout, Shadow

LONGEST_NAME: Final = 1024  # characters; gRPC ends the stream when an error repeats some 16,000
_REMEMBERED: Final = 256  # references; callers may make them up


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one gateway."""

    settings: Settings
    detector: Serving
    metrics: Metrics
    ledger: Ledger[Noted]  # where requests are counted and logged
    gate: Gate
    limits: Limits
    fetcher: Fetcher
    guard: Guard
    rollout: Rollout
    shadow: Shadow | None  # None: nothing is mirrored
    ending: Ending

    def ref(self, model: str | None, version: int | None = None, label: str | None = None) -> ModelRef:
        """The model that a request for boxes names, or the default one; perhaps its canary.

        Raises:
            ModelNotFoundError: the name is longer than any; Serving would take the connection down for it.
        """
        return self._ref(model, version, label, random.random())  # noqa: S311 - a share, no secret

    def steady_ref(self, model: str | None, version: int | None = None, label: str | None = None) -> ModelRef:
        """As `ref`, and never the canary: for what describes a model."""
        return self._ref(model, version, label, 1.0)

    def expected_refs(self) -> list[ModelRef]:
        """The models that callers will ask, and the canary."""
        refs = [self.steady_ref(name) for name in self.settings.listed_models]
        if self.rollout.canary is not None:
            refs.append(ModelRef(self.settings.model, label=self.rollout.canary))
        return refs

    def _ref(self, model: str | None, version: int | None, label: str | None, chance: float) -> ModelRef:
        name = model or self.settings.model
        if len(name) > LONGEST_NAME or len(label or "") > LONGEST_NAME:
            raise ModelNotFoundError(f"no name of a model or label is longer than {LONGEST_NAME} characters")
        if name == self.settings.model and version is None and label is None:
            label = self.rollout.choose(chance)
        return _known_ref(name, version, label)


@lru_cache(_REMEMBERED)
def _known_ref(name: str, version: int | None, label: str | None) -> ModelRef:
    """The same reference each time, which is found in a catalog without being compared."""
    return ModelRef(name, version, label)
