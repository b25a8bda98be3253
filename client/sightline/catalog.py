"""What is known of the served models: how to ask each, and the card that applies to its answers."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from sightline.contract import INPUT_QUERY, OUTPUT_CARD, SIGNATURE_CARD, ModelCard, ModelRef
from sightline.detections import ModelVersion
from sightline.errors import SignatureError
from sightline.families import Family, understand
from sightline.signatures import Signature
from sightline.tf_serving import ServingStub

_REMEMBERED: Final = 256  # (model, version) pairs; beyond, the longest unused is forgotten


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One version of a model, understood."""

    name: str
    version: int
    family: Family
    labels: Mapping[int, str]  # class id -> label
    thresholds: Mapping[int, float]  # class id -> score
    card: ModelCard | None  # None where the model carries none
    told: ModelVersion  # as results name it


class Catalog:
    """Asks for signatures and card once per (model, version), and keeps them.

    A reference without a version follows the server: `current` says what was last seen behind it, and
    the version in each answer says whether that still holds. Safe to share between threads.

    Args:
        stub: where the models are.
        labels: class id -> label, for models without a card.
    """

    def __init__(self, stub: ServingStub, *, labels: Mapping[int, str] | None = None) -> None:
        self._stub = stub
        self._labels = dict(labels or {})
        self._lock = threading.Lock()
        self._current: dict[ModelRef, KnownModel] = {}
        self._versions: OrderedDict[tuple[str, int], KnownModel] = OrderedDict()

    def current(self, ref: ModelRef, *, timeout: float | None = None) -> KnownModel:
        """The model behind a reference, as last seen; asked for if it never was.

        Raises:
            SightlineError: the server does not know the model, or its signature is not understood.
        """
        known = self._current.get(ref)
        return known if known is not None else self.refresh(ref, timeout=timeout)

    def refresh(
        self, ref: ModelRef, *, version: int | None = None, timeout: float | None = None
    ) -> KnownModel:
        """Learn what is behind a reference now, or that it is `version`."""
        known = self._versions.get((ref.name, version)) if version is not None else None
        if known is None:
            asked = ref if version is None else ModelRef(ref.name, version)
            signatures, found = self._stub.metadata(asked, timeout=timeout)
            known = self._versions.get((ref.name, found)) or self._learn(ref.name, found, signatures, timeout)
        with self._lock:
            self._current[ref] = known
            self._versions[ref.name, known.version] = known
            self._versions.move_to_end((ref.name, known.version))
            while len(self._versions) > _REMEMBERED:
                self._versions.popitem(last=False)
        return known

    def _learn(
        self, name: str, version: int, signatures: Mapping[str, Signature], timeout: float | None
    ) -> KnownModel:
        family, told = understand(signatures), ModelVersion(name, version)
        card = self._ask_card(ModelRef(name, version), timeout) if SIGNATURE_CARD in signatures else None
        if card is None:
            return KnownModel(name, version, family, self._labels, {}, None, told)
        return KnownModel(name, version, family, card.labels, card.thresholds, card, told)

    def _ask_card(self, ref: ModelRef, timeout: float | None) -> ModelCard:
        query = np.array([b""], object)
        answer = self._stub.predict(ref, {INPUT_QUERY: query}, signature=SIGNATURE_CARD, timeout=timeout)
        try:
            return ModelCard.from_dict(json.loads(answer.outputs[OUTPUT_CARD][0]))
        except (ValueError, LookupError) as fault:
            raise SignatureError(f"the card of {ref} cannot be read: {fault}") from fault
