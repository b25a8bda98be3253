"""Several frames in flight, their order kept, memory bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Final, TypeVar

from sightline.contract import ModelRef
from sightline.detections import Result
from sightline.errors import SightlineError
from sightline.frame_result import FrameResult
from sightline.interface import Detector, Resizing
from sightline.options import DetectOptions
from sightline.video import Frame

DEFAULT_IN_FLIGHT: Final = 8  # frames; enough to keep a model busy while the next ones are decoded
_REQUESTS: Final = 2  # to Serving at once: one is predicted while the frames of the next are decoded

A = TypeVar("A")
B = TypeVar("B")


def in_order(work: Callable[[A], B], items: Iterable[A], in_flight: int) -> Iterator[B]:
    """`map`, with up to `in_flight` items worked on at once, each in a thread.

    An item is taken from `items` only when there is room for it, and results wait to be taken, so that
    no more than `in_flight` items or results are held. The pace is that of the slowest of the three:
    who makes the items, the work, who takes the results. An error comes out in its item's place.
    """
    with ThreadPoolExecutor(in_flight) as threads:
        waiting: deque[Future[B]] = deque()
        try:
            for item in items:
                waiting.append(threads.submit(work, item))
                if len(waiting) == in_flight:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def batched(frames: Iterable[Frame], size: int) -> Iterator[list[Frame] | SightlineError]:
    """The first frame alone, so that something is seen at once; then up to `size` together.

    An error is an item of its own, behind the frames before it, so that these are answered.
    """
    batch: list[Frame] = []
    full = 1
    try:
        for frame in frames:
            batch.append(frame)
            if len(batch) == full:
                yield batch
                batch, full = [], size
    except SightlineError as fault:
        if batch:
            yield batch
        yield fault
    else:
        if batch:
            yield batch


def detect_frames(
    detector: Detector,
    frames: Iterable[Frame],
    options: DetectOptions | None = None,
    *,
    model: str | ModelRef | None = None,
    timeout: float | None = None,
    request_id: str | None = None,
    in_flight: int = DEFAULT_IN_FLIGHT,
) -> Iterator[FrameResult]:
    """Find the objects in frames, such as `Video.frames` gives.

    Args:
        detector: a `Gateway`, a `Serving` or one of your own.
        frames: taken as there is room for them; resized ones only for the `Serving` that said how.
        options: which boxes to keep.
        model: instead of the detector's own.
        timeout: seconds for each request.
        request_id: the `id` of every result; None makes one up for each.
        in_flight: frames that are worked on at once, which are also all that are held in memory. A
            `Serving` is sent half of them at a time.

    Raises:
        SightlineError: after the results of the frames before it.
    """
    size = max(1, in_flight // _REQUESTS) if isinstance(detector, Resizing) else 1

    def detect(batch: list[Frame] | SightlineError) -> list[FrameResult | SightlineError]:
        if isinstance(batch, SightlineError):
            return [batch]
        images = [frame.image for frame in batch]
        found = detector.detect_many(images, options, model=model, timeout=timeout, request_id=request_id)
        return [_record(frame, result) for frame, result in zip(batch, found, strict=True)]

    return _one_by_one(in_order(detect, batched(frames, size), max(1, in_flight // size)))


def _record(frame: Frame, result: Result | SightlineError) -> FrameResult | SightlineError:
    if isinstance(result, SightlineError):
        return result
    # A result remembers its picture for notebooks; kept for every frame of a video, that is memory.
    return FrameResult(frame.index, frame.time, replace(result, _shown=None))


def _one_by_one(batches: Iterator[list[FrameResult | SightlineError]]) -> Iterator[FrameResult]:
    try:
        for batch in batches:
            for record in batch:
                if isinstance(record, SightlineError):
                    raise record
                yield record
    finally:
        batches.close()  # type: ignore[attr-defined]  # `in_order` lets go of what is waiting
