"""Pictures that the model is unsure of: found by the workers, kept for a person to label.

Three signs, none of which needs a label: a score near the threshold; an object that comes or goes for a
single frame; two versions of the model that do not find the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.batch.sources import Source
from sightline.batch.tasks import Example
from sightline.contract import DEFAULT_MAX_DETECTIONS, DEFAULT_THRESHOLD, ModelRef
from sightline.detections import Detection, Result
from sightline.errors import InputError
from sightline.images import decode, encode_jpeg
from sightline.inputs import ImageInput
from sightline.options import DetectOptions
from sightline.video import Frame

SAME_OBJECT: Final = 0.5  # intersection over union from which two boxes of one label are one object
BAND: Final = 0.2  # score; this far from the threshold the model counts as sure
FLICKER_PRIORITY: Final = 0.9
DISAGREEMENT_PRIORITY: Final = 1.0
LOOK_ALIKE: Final = 6  # of 64 bits; pictures whose fingerprints differ in no more show the same
PER_TASK: Final = 10  # pictures that one task brings home
_JPEG_QUALITY: Final = 95  # of 100: it will be trained on


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """How unsure pictures are looked for, and how many one task brings home."""

    against: ModelRef | None = None  # a second model, whose opinion is asked as well
    per_task: int = PER_TASK  # pictures


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a job asks for, and what it would have been given: collecting must not change its results.

    Weaker boxes are wanted, too, to see what was nearly found. So those are asked for, and what the caller
    did not ask for is taken out here as the model's side would have done it.
    """

    options: DetectOptions
    by_class: Mapping[int, float] = field(default_factory=dict)  # class id -> score, of the model's card

    def of(self, found: Detection) -> float:
        """The score from which such an object counts as found."""
        if self.options.threshold is not None:
            return self.options.threshold
        return self.by_class.get(found.class_id, DEFAULT_THRESHOLD)

    def weaker(self) -> DetectOptions:
        """The options to ask with."""
        fixed = self.options.threshold
        lowest = min([DEFAULT_THRESHOLD, *self.by_class.values()]) if fixed is None else fixed
        more = self.options.max_detections + DEFAULT_MAX_DETECTIONS
        return replace(self.options, threshold=max(lowest - BAND, 0.0), max_detections=more)

    def kept(self, result: Result) -> Result:
        """The result as it would be without the weaker boxes."""
        sure = [found for found in result.detections if found.score >= self.of(found)]
        return replace(result, detections=tuple(sure[: self.options.max_detections]))


class Unsure:
    """Watches the pictures of one task, and keeps the ones with the clearest signs.

    Args:
        thresholds: what counts as found.
        source: what is looked at.
        other: asks the second model, where there is one.
        limit: pictures to keep.
    """

    def __init__(
        self,
        thresholds: Thresholds,
        source: Source,
        other: Callable[[ImageInput], Result] | None = None,
        *,
        limit: int = PER_TASK,
    ) -> None:
        self._thresholds, self._source, self._other, self._limit = thresholds, source, other, limit
        self._kept: list[Example] = []
        self._window: deque[tuple[Frame, Result]] = deque(maxlen=3)

    def see_picture(self, content: bytes, result: Result) -> None:
        """Judge a picture by itself."""
        try:
            pixels = decode(content).pixels
        except InputError:  # a service may take larger ones than are decoded here
            return
        self._judge(pixels, result, self._source.name)

    def see_frame(self, frame: Frame, result: Result) -> None:
        """Judge a frame by itself, and the one before it by its neighbours."""
        self._judge(frame.pixels, result, self._title(frame))
        self._window.append((frame, self._thresholds.kept(result)))
        if len(self._window) == 3:
            before, (middle, now), after = self._window[0][1], self._window[1], self._window[2][1]
            if flickers(before.detections, now.detections, after.detections):
                self._keep(middle.pixels, now, FLICKER_PRIORITY, "flicker", self._title(middle))

    def examples(self) -> tuple[Example, ...]:
        """What was kept, the clearest first."""
        return tuple(sorted(self._kept, key=lambda example: -example.priority))

    def _judge(self, pixels: NDArray[np.uint8], result: Result, title: str) -> None:
        kept, found_from = self._thresholds.kept(result), self._thresholds.of
        distance = min((abs(item.score - found_from(item)) for item in result.detections), default=1.0)
        if distance < BAND:
            self._keep(pixels, kept, 1 - distance / BAND, "score", title)
        if self._other is not None and not agree(kept.detections, self._other(pixels).detections):
            self._keep(pixels, kept, DISAGREEMENT_PRIORITY, "disagreement", title)

    def _keep(
        self, pixels: NDArray[np.uint8], result: Result, priority: float, reason: str, title: str
    ) -> None:
        if len(self._kept) == self._limit and priority <= self._kept[-1].priority:
            return
        mark = fingerprint(pixels)
        if any(look_alike(mark, other.fingerprint) and other.priority >= priority for other in self._kept):
            return
        try:
            jpeg = encode_jpeg(pixels, quality=_JPEG_QUALITY)
        except InputError:  # too long for a JPEG, and for labelling
            return
        example = Example(priority, reason, mark, title, jpeg, replace(result, _shown=None).to_dict())
        rest = [other for other in self._kept if not look_alike(mark, other.fingerprint)]
        self._kept = sorted([*rest, example], key=lambda item: -item.priority)[: self._limit]

    def _title(self, frame: Frame) -> str:
        return f"{self._source.name}-{round(frame.time * 1000):09d}ms"


def flickers(before: Sequence[Detection], now: Sequence[Detection], after: Sequence[Detection]) -> bool:
    """Whether an object of both neighbours is missing, or one is there that neither neighbour has."""
    vanished = any(_has(after, item) and not _has(now, item) for item in before)
    return vanished or any(not _has(before, item) and not _has(after, item) for item in now)


def agree(some: Sequence[Detection], others: Sequence[Detection]) -> bool:
    """Whether each object of one is in the other, and the other way round."""
    return all(_has(others, item) for item in some) and all(_has(some, item) for item in others)


def _has(found: Sequence[Detection], wanted: Detection) -> bool:
    return any(
        item.label == wanted.label and overlap(item.box_normalized, wanted.box_normalized) >= SAME_OBJECT
        for item in found
    )


def overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes, ymin xmin ymax xmax."""
    height = min(one[2], other[2]) - max(one[0], other[0])
    width = min(one[3], other[3]) - max(one[1], other[1])
    if height <= 0 or width <= 0:
        return 0.0
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return height * width / (sum(areas) - height * width)


def fingerprint(pixels: NDArray[np.uint8]) -> int:
    """64 bits that say where a picture grows brighter from left to right (the difference hash, dHash).

    OpenCV's own hashes are in its contributed modules, which the headless build does not have.
    """
    grey = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA)
    bits = np.packbits(np.asarray(grey[:, 1:] > grey[:, :-1]))
    return int.from_bytes(bits.tobytes(), "big")


def look_alike(one: int, other: int) -> bool:
    """Whether two fingerprints are of pictures that show the same."""
    return (one ^ other).bit_count() <= LOOK_ALIKE
