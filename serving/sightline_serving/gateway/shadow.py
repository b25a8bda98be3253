"""A new version beside the serving one: a share of the traffic, or a mirrored share that nobody sees.

The canary answers callers; the shadow's answers are compared with the serving version's, box by box,
counted and thrown away. Both are told apart by TensorFlow Serving's version labels, so that promoting one
is moving a label (docs/runbooks/canary.md).
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from sightline.contract import ModelRef
from sightline.detections import Detection, Result
from sightline.errors import InputError, SightlineError
from sightline.inputs import ImageInput
from sightline.interface import Detector
from sightline.options import DetectOptions

SAME_OBJECT: Final = 0.5  # intersection over union from which two boxes of one label are one object
WAITING: Final = 16  # requests to be compared, in one worker; what comes then is not compared
THREADS: Final = 2  # of one worker; a shadow never has more requests than these in flight
_SHARES: Final = tuple(tenth / 10 for tenth in range(11))
log = logging.getLogger("sightline.shadow")


@dataclass(frozen=True, slots=True)
class Rollout:
    """Which version label a request gets that names neither version nor label."""

    label: str | None  # of the serving version; None takes the newest one
    canary: str | None = None
    share: float = 0.0  # of the requests that go to the canary, 0 to 1

    def choose(self, chance: float) -> str | None:
        """The label for a request; `chance` is drawn evenly from 0 (in) to 1 (out)."""
        return self.canary if self.canary is not None and chance < self.share else self.label


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two versions found in one picture, as counts of boxes."""

    agreed: int  # of both: same label, overlapping by SAME_OBJECT
    missing: int  # of the serving version alone
    extra: int  # of the shadow alone

    @property
    def agreement(self) -> float:
        """Agreed boxes among all of them; 1 where both found nothing."""
        together = self.agreed + self.missing + self.extra
        return self.agreed / together if together else 1.0


def compare(serving: Sequence[Detection], shadow: Sequence[Detection]) -> Comparison:
    """Pair the boxes of two results. The surest box chooses first, and takes the one it overlaps most."""
    left = list(shadow)
    agreed = 0
    for box in sorted(serving, key=lambda item: -item.score):
        same = [item for item in left if item.label == box.label and _overlap(box, item) >= SAME_OBJECT]
        if same:
            left.remove(max(same, key=lambda item: _overlap(box, item)))
            agreed += 1
    return Comparison(agreed, len(serving) - agreed, len(left))


def _overlap(one: Detection, other: Detection) -> float:
    """Intersection over union."""
    a, b = one.box_normalized, other.box_normalized
    height, width = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if height <= 0 or width <= 0:
        return 0.0
    both = height * width
    return both / (sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - both)


class ShadowMetrics:
    """How far the shadow agrees, by the versions that were compared."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pictures = Counter(
            "sightline_shadow_pictures",
            "Pictures mirrored to the shadow: compared, failed (it gave an error) or dropped (no room).",
            ("model", "outcome"),
            registry=registry,
        )
        names = ("model", "version", "shadow_version")
        self.boxes = Counter(
            "sightline_shadow_boxes",
            "Boxes compared: agreed, missing (the serving version's alone), extra (the shadow's alone).",
            (*names, "outcome"),
            registry=registry,
        )
        self.agreement = Histogram(
            "sightline_shadow_agreement",
            "Agreed boxes among all boxes of a picture; 1 where both found nothing.",
            names,
            buckets=_SHARES,
            registry=registry,
        )

    def compared(self, serving: Result, shadow: Result) -> None:
        """Count one picture that both have answered."""
        told = compare(serving.detections, shadow.detections)
        names = (serving.model.name, str(serving.model.version), str(shadow.model.version))
        self.pictures.labels(serving.model.name, "compared").inc()
        for outcome in ("agreed", "missing", "extra"):
            self.boxes.labels(*names, outcome).inc(getattr(told, outcome))
        self.agreement.labels(*names).observe(told.agreement)


class Shadow:
    """Asks the shadow version in the background; a caller never waits for it and never sees it fail.

    Args:
        detector: the one that serves; it is asked once more, with the shadow's label.
        metrics: where the comparison goes.
        label: of the shadow version.
        share: of the requests that are mirrored, 0 to 1.
        timeout: seconds for one request.
        chance: draws evenly from 0 (in) to 1 (out).
    """

    def __init__(
        self,
        detector: Detector,
        metrics: ShadowMetrics,
        *,
        label: str,
        share: float,
        timeout: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._detector = detector
        self._metrics = metrics
        self._label = label
        self._share = share
        self._timeout = timeout
        self._chance = chance
        self._room = threading.BoundedSemaphore(WAITING)
        self._pool = ThreadPoolExecutor(THREADS, "shadow")

    def mirror(
        self,
        images: Sequence[ImageInput],
        options: DetectOptions,
        asked: ModelRef,
        served: Sequence[Result | InputError],
    ) -> None:
        """Perhaps ask the shadow the same; returns at once."""
        if asked.version is not None or asked.label == self._label or self._chance() >= self._share:
            return
        if not self._room.acquire(blocking=False):
            self._metrics.pictures.labels(asked.name, "dropped").inc(len(images))
            return
        self._pool.submit(self._ask, list(images), options, asked.name, list(served))

    def close(self) -> None:
        """Finish what is being compared."""
        self._pool.shutdown()

    def _ask(
        self,
        images: Sequence[ImageInput],
        options: DetectOptions,
        model: str,
        served: Sequence[Result | InputError],
    ) -> None:
        try:
            shadowed = self._detector.detect_many(
                images, options, model=ModelRef(model, label=self._label), timeout=self._timeout
            )
            for serving, shadow in zip(served, shadowed, strict=True):
                if isinstance(serving, Result) and isinstance(shadow, Result):
                    self._metrics.compared(serving, shadow)
        except SightlineError as fault:
            self._metrics.pictures.labels(model, "failed").inc(len(images))
            log.warning("the shadow %s of %s failed: %s", self._label, model, fault)
        except Exception:  # a fault of ours in a thread that nobody waits for
            self._metrics.pictures.labels(model, "failed").inc(len(images))
            log.exception("comparing with the shadow failed unexpectedly")
        finally:
            self._room.release()
