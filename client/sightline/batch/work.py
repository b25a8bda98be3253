"""Doing a task: pictures or frames to a detector, records back. Runs in a thread, or on a far machine."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from typing import Final, TypeVar

import orjson

from sightline.batch.hard_examples import CollectOptions, Thresholds, Unsure
from sightline.batch.sources import Source
from sightline.batch.tasks import Outcome, PicturesTask, SegmentTask, Task
from sightline.contract import ModelRef
from sightline.detections import Result
from sightline.errors import (
    DeadlineError,
    InputError,
    InvalidOptionError,
    ServingError,
    SightlineError,
    SignatureError,
)
from sightline.frame_result import FrameResult
from sightline.geometry import Fit, Stretch
from sightline.inputs import ImageInput
from sightline.interface import Detector, Resizing
from sightline.options import DetectOptions
from sightline.pipeline import in_order
from sightline.video import Frame, FrameOptions, Video

FIRST_WAIT: Final = 0.5  # seconds before asking a service again that is away or too busy
MAX_WAIT: Final = 15.0  # seconds
_NAP: Final = 0.2  # seconds in which a wait notices that the job is being stopped

T = TypeVar("T")


@dataclass(frozen=True)
class Work:
    """How the tasks of a job are done. Can be pickled; each process connects itself, once."""

    open_detector: Callable[[], Detector]  # hashable: equal ones share a connection
    options: DetectOptions
    fps: float | None  # frames per second of video to look at
    in_flight: int  # pictures or frames that one task has under way at once
    patience: float  # seconds that a service may be away before the job ends
    model: ModelRef | None = None  # None leaves it to the detector
    collect: CollectOptions | None = None

    def __call__(self, task: Task, stopping: Callable[[], bool] = lambda: False) -> list[Outcome]:
        """Do one task; nothing is given where `stopping` came true meanwhile.

        Raises:
            SightlineError: the service refuses, or was away for longer than `patience`.
        """
        doing = _Doing(self, _connected(self.open_detector), stopping)
        outcomes = doing.pictures(task) if isinstance(task, PicturesTask) else [doing.segment(task)]
        return [] if stopping() else outcomes


class _Doing:
    """One task under way."""

    def __init__(self, work: Work, detector: Detector, stopping: Callable[[], bool]) -> None:
        self._work, self._detector, self._stopping = work, detector, stopping
        self._thresholds = None if work.collect is None else self._found_from()
        self._options = work.options if self._thresholds is None else self._thresholds.weaker()

    def pictures(self, task: PicturesTask) -> list[Outcome]:
        contents = {source: _read(source) for source in task.sources}
        sound = {source: content for source, content in contents.items() if isinstance(content, bytes)}
        answers = dict(zip(sound, self._ask(list(sound.values())) if sound else [], strict=True))
        outcomes = []
        for source, content in contents.items():
            if isinstance(content, InputError):
                outcomes.append(Outcome(source, error=content.problem()))
            else:
                outcomes.append(self._picture(source, content, answers[source]))
        return outcomes

    def _picture(self, source: Source, content: bytes, answer: Result | SightlineError) -> Outcome:
        if isinstance(answer, SightlineError):
            return Outcome(source, error=answer.problem())
        unsure = self._unsure(source)
        if unsure is None:
            return Outcome(source, _line(source, answer.to_dict()))
        unsure.see_picture(content, answer)
        return Outcome(source, _line(source, self._kept(answer).to_dict()), examples=unsure.examples())

    def segment(self, task: SegmentTask) -> Outcome:
        source, unsure = task.source, self._unsure(task.source)
        lines: list[bytes] = []
        try:
            with source.local() as path, Video(path) as video:
                asked = FrameOptions(fps=self._work.fps, start=task.start, end=task.end)
                # What may be kept for training is wanted in full.
                wanted = video.frames(asked, self._resize() if unsure is None else None)
                frames = takewhile(lambda _: not self._stopping(), wanted)
                for frame, answer in in_order(self._frame, frames, self._work.in_flight):
                    if unsure is not None:
                        unsure.see_frame(frame, answer)
                    record = FrameResult(frame.index, frame.time, self._kept(answer))
                    lines.append(_line(source, record.to_dict()))
                passed, warning = video.passed, video.cut_short
        except SightlineError as fault:
            if not _of_the_input(fault):
                raise
            return Outcome(source, error=fault.problem(), part=task.index, parts=task.of)
        examples = () if unsure is None else unsure.examples()
        return Outcome(source, b"".join(lines), None, task.index, task.of, passed, warning, examples)

    def _frame(self, frame: Frame) -> tuple[Frame, Result]:
        (answer,) = self._ask([frame.image])
        if isinstance(answer, SightlineError):
            raise answer
        return frame, replace(answer, _shown=None)

    def _resize(self) -> Stretch | Fit | None:
        detector = self._detector
        if not isinstance(detector, Resizing):
            return None
        return self._patiently(lambda: detector.resize(self._work.model))

    def _ask(self, images: Sequence[ImageInput]) -> list[Result | SightlineError]:
        """Ask, and wait where the service is away. What the service fails over is asked one by one."""
        try:
            model = self._work.model
            many = self._patiently(lambda: self._detector.detect_many(images, self._options, model=model))
            return [*many]
        except SightlineError as fault:
            if not _of_the_input(fault):
                raise
            if len(images) == 1:
                return [fault]
        return [answer for image in images for answer in self._ask([image])]

    def _kept(self, answer: Result) -> Result:
        """What was asked for by the job."""
        return answer if self._thresholds is None else self._thresholds.kept(answer)

    def _found_from(self) -> Thresholds:
        options, model = self._work.options, self._work.model
        if options.threshold is not None:
            return Thresholds(options)
        card = self._patiently(lambda: self._detector.card(model))
        return Thresholds(options, {} if card is None else card.thresholds)

    def _unsure(self, source: Source) -> Unsure | None:
        """Who watches for hard examples, where they are collected."""
        collect, thresholds = self._work.collect, self._thresholds
        if collect is None or thresholds is None:
            return None
        against = collect.against

        def other(image: ImageInput) -> Result:
            return self._patiently(lambda: self._detector.detect(image, self._work.options, model=against))

        return Unsure(thresholds, source, other if against else None, limit=collect.per_task)

    def _patiently(self, call: Callable[[], T]) -> T:
        """Call until it is answered, refused, or was away for too long."""
        until = time.monotonic() + self._work.patience
        wait = FIRST_WAIT
        while True:
            try:
                return call()
            except SightlineError as fault:
                pause = wait * random.uniform(0.5, 1)  # noqa: S311  # so that not all come back at once
                if not _away(fault) or time.monotonic() + pause > until:
                    raise
                self._sleep(pause, fault)
            wait = min(wait * 2, MAX_WAIT)

    def _sleep(self, pause: float, fault: SightlineError) -> None:
        until = time.monotonic() + pause
        while (left := until - time.monotonic()) > 0:
            if self._stopping():
                raise fault
            time.sleep(min(left, _NAP))


def _line(source: Source, plain: dict[str, object]) -> bytes:
    """A record without what differs from run to run, so that the same job gives the same bytes."""
    return orjson.dumps({"source": source.address, **plain, "id": source.name, "timing_ms": {}}) + b"\n"


def _away(fault: SightlineError) -> bool:
    return fault.retryable or isinstance(fault, DeadlineError)


def _of_the_input(fault: SightlineError) -> bool:
    """Whether the next input may do better: the fault is this one's, or what the model makes of it."""
    if _away(fault) or isinstance(fault, SignatureError | InvalidOptionError):  # wrong for all of them
        return False
    return isinstance(fault, InputError | ServingError)


def _read(source: Source) -> bytes | InputError:
    try:
        return source.read()
    except InputError as fault:
        return fault


@lru_cache(maxsize=4)
def _connected(open_detector: Callable[[], Detector]) -> Detector:
    return open_detector()
