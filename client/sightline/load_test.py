"""Putting load on a detector and measuring what becomes of it."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from sightline.errors import InvalidOptionError, SightlineError
from sightline.inputs import ImageInput
from sightline.interface import Detector
from sightline.options import DetectOptions

PERCENTILES: Final = (50, 95, 99)
MAX_WAITING: Final = 256  # requests under way at a fixed rate; later ones wait, and their wait counts


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How much load, and for how long.

    Raises:
        InvalidOptionError: a value is out of range.
    """

    seconds: float = 10.0  # that are measured
    warm_up: float = 2.0  # seconds before, of the same load, that are not
    concurrency: int = 4  # requests under way all the time; not with rate
    rate: float | None = None  # requests per second that begin whether or not earlier ones are answered
    batch: int = 1  # pictures in one request

    def __post_init__(self) -> None:
        for name, least in (("seconds", 0), ("warm_up", -1), ("concurrency", 0), ("batch", 0), ("rate", 0)):
            value = getattr(self, name)
            if value is not None and not value > least:
                raise InvalidOptionError(f"{name} is {value}; it is more than {max(least, 0)}")


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What was measured. A request that failed counts among the errors and nowhere else."""

    requests: int  # that were answered
    images: int  # in them
    seconds: float  # that passed
    milliseconds: Mapping[str, float]  # mean, p50, p95, p99, max of the time to an answer
    errors: Mapping[str, int] = field(default_factory=dict)  # code -> how often

    @property
    def images_per_second(self) -> float:
        """Pictures answered in a second."""
        return self.images / self.seconds

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "requests": self.requests,
            "images": self.images,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
            "milliseconds": dict(self.milliseconds),
            "errors": dict(self.errors),
        }


def run_load(
    detector: Detector,
    pictures: Sequence[ImageInput],
    load: LoadOptions,
    options: DetectOptions | None = None,
    *,
    watch: Callable[[float], None] = lambda seconds: None,
) -> LoadReport:
    """Ask about the pictures in turn, again and again, and measure.

    With `rate`, requests begin on schedule as those of independent users do, and the time of each runs
    from when it was due: a server that stalls is not spared the ones that pile up meanwhile. With
    `concurrency`, each of so many users waits for an answer before asking anew.

    Args:
        detector: what is measured.
        pictures: asked about in turn.
        load: how much.
        options: sent with each request.
        watch: told now and then how many seconds have passed.
    """
    run = _Run(detector, pictures, load, options)
    users = run.users() if load.rate is None else [threading.Thread(target=run.schedule)]
    for user in users:
        user.start()
    try:
        while any(user.is_alive() for user in users):
            time.sleep(0.05)
            watch(time.perf_counter() - run.begun)
    finally:
        run.stop()  # where it was interrupted: nobody may still be asking when the detector is closed
        for user in users:
            user.join()
    return run.report()


class _Run:
    def __init__(
        self,
        detector: Detector,
        pictures: Sequence[ImageInput],
        load: LoadOptions,
        options: DetectOptions | None,
    ) -> None:
        self._detector, self._load, self._options = detector, load, options
        self._pictures = itertools.cycle(pictures)
        self._lock = threading.Lock()
        self._times: list[float] = []  # seconds, of the answered
        self._errors: Counter[str] = Counter()
        self.begun = time.perf_counter()
        self._from = self.begun + load.warm_up
        self._until = self._from + load.seconds
        self._last = self._from
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Begin no more requests."""
        self._stopping.set()

    def users(self) -> list[threading.Thread]:
        """Each asks, waits for the answer, and asks anew."""

        def ask_on() -> None:
            while (now := time.perf_counter()) < self._until and not self._stopping.is_set():
                self._ask(now)

        return [threading.Thread(target=ask_on) for _ in range(self._load.concurrency)]

    def schedule(self) -> None:
        """Begin requests when they are due."""
        assert self._load.rate is not None  # noqa: S101  # the caller's choice
        with ThreadPoolExecutor(MAX_WAITING) as threads:
            for number in itertools.count():
                due = self.begun + number / self._load.rate
                if due >= self._until:
                    return
                if self._stopping.wait(max(0.0, due - time.perf_counter())):
                    threads.shutdown(cancel_futures=True)
                    return
                threads.submit(self._ask, due)

    def _ask(self, due: float) -> None:
        with self._lock:
            batch = list(itertools.islice(self._pictures, self._load.batch))
        code = None
        try:
            for outcome in self._detector.detect_many(batch, self._options):
                if isinstance(outcome, SightlineError):
                    code = outcome.code
        except SightlineError as fault:
            code = fault.code
        now = time.perf_counter()
        if due < self._from:  # of the warm-up
            return
        with self._lock:
            self._last = max(self._last, now)
            if code is None:
                self._times.append(now - due)
            else:
                self._errors[code] += 1

    def report(self) -> LoadReport:
        """What was measured, once all have ended."""
        times = np.array(self._times) * 1000
        told: dict[str, float] = {}
        if len(times):
            told["mean"] = round(float(times.mean()), 2)
            told |= {f"p{p}": round(float(np.percentile(times, p)), 2) for p in PERCENTILES}
            told["max"] = round(float(times.max()), 2)
        answered = len(times)
        seconds = max(self._last - self._from, 1e-9)
        return LoadReport(answered, answered * self._load.batch, seconds, told, dict(self._errors))
