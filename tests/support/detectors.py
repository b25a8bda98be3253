"""Detectors for tests that stand at the interface's seam: no server, no network."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence

from support.videos import number_of

from sightline.contract import ModelRef
from sightline.detections import Detection, ImageSize, ModelVersion, Result
from sightline.errors import InputError, SightlineError
from sightline.images import decode
from sightline.inputs import ImageInput, load
from sightline.options import DetectOptions


class NumberReader:
    """Reads the number that a test's frame carries, and finds one droid whose place and score tell it.

    Args:
        delay: seconds that each picture takes; frames of odd number take twice that, so that later
            ones overtake earlier ones where nothing keeps the order.
        fail_at: the number whose picture fails.
    """

    def __init__(
        self, *, delay: float = 0.0, fail_at: int | None = None, error: SightlineError | None = None
    ):
        self.delay = delay
        self.fail_at = fail_at
        self.error = error
        self.seen: list[int] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def detect(
        self,
        image: ImageInput,
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Result:
        loaded = load(image)
        pixels = decode(loaded).pixels if isinstance(loaded, bytes) else loaded
        number = number_of(pixels)
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.seen.append(number)
        try:
            if self.delay:
                time.sleep(self.delay * (1 + number % 2))
            if number == self.fail_at and self.error is not None:
                raise self.error
            size = ImageSize(pixels.shape[1], pixels.shape[0])
            left = number % 100 / 200
            found = Detection.make("R2-D2", 2, 0.5 + number % 50 / 100, (0.5, left, 0.8, left + 0.2), size)
            name = ModelRef.of(model).name if model else "droids"
            kept = (found,) if options is None or found.score >= (options.threshold or 0) else ()
            return Result(request_id or uuid.uuid4().hex, ModelVersion(name, 1), size, kept)
        finally:
            with self._lock:
                self._at_once -= 1

    def detect_many(
        self,
        images: Sequence[ImageInput],
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> list[Result | InputError]:
        outcomes: list[Result | InputError] = []
        for image in images:
            try:
                outcomes.append(self.detect(image, options, model=model, request_id=request_id))
            except InputError as fault:
                outcomes.append(fault)
        return outcomes

    def close(self) -> None:
        pass
