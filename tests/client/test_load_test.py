from __future__ import annotations

import threading
import time

import pytest
from support.detectors import NumberReader
from support.videos import numbered_frames

from sightline.errors import InvalidOptionError, OverloadedError
from sightline.load_test import LoadOptions, run_load

PICTURES = list(numbered_frames(3))


def test_with_concurrency_so_many_requests_are_under_way() -> None:
    detector = NumberReader(delay=0.01)
    report = run_load(detector, PICTURES, LoadOptions(seconds=0.4, warm_up=0.1, concurrency=3))
    assert detector.most_at_once == 3
    assert set(detector.seen) == {0, 1, 2}
    assert 0 < report.requests < len(detector.seen)  # those of the warm-up are not counted
    assert report.images == report.requests
    assert report.errors == {}
    told = report.milliseconds
    assert 10 <= told["p50"] <= told["p95"] <= told["p99"] <= told["max"]
    assert report.images_per_second == pytest.approx(report.requests / report.seconds)


def test_with_a_rate_a_stall_is_counted_for_all_who_waited_through_it() -> None:
    """The detector answers one at a time and stalls once: at 50 per second, ten more come meanwhile."""

    class Stalling(NumberReader):
        lock = threading.Lock()
        stalled = False

        def detect(self, *args, **rest):  # type: ignore[no-untyped-def]
            with self.lock:
                if len(self.seen) == 10 and not self.stalled:
                    self.stalled = True
                    time.sleep(0.25)
                return super().detect(*args, **rest)

    report = run_load(Stalling(), PICTURES, LoadOptions(seconds=0.6, warm_up=0, rate=50))
    assert report.requests == 30
    assert report.milliseconds["max"] >= 250
    assert report.milliseconds["p95"] >= 100  # a closed loop would have seen one slow request of thirty


def test_errors_are_counted_by_their_code_and_not_as_answers() -> None:
    detector = NumberReader(fail_at=1, error=OverloadedError("busy"))
    report = run_load(detector, PICTURES, LoadOptions(seconds=0.2, warm_up=0, concurrency=1))
    assert set(report.errors) == {"overloaded"}
    assert report.requests > 0
    assert report.to_dict()["errors"]["overloaded"] == report.errors["overloaded"]


def test_batches_count_their_pictures() -> None:
    report = run_load(NumberReader(), PICTURES, LoadOptions(seconds=0.1, warm_up=0, concurrency=1, batch=4))
    assert report.images == 4 * report.requests > 0


@pytest.mark.parametrize(
    "fault", [{"seconds": 0}, {"warm_up": -1}, {"concurrency": 0}, {"rate": 0}, {"batch": 0}]
)
def test_impossible_loads_are_refused(fault: dict[str, float]) -> None:
    with pytest.raises(InvalidOptionError, match=next(iter(fault))):
        LoadOptions(**fault)  # type: ignore[arg-type]


@pytest.mark.parametrize("load", [LoadOptions(60, 0, concurrency=3), LoadOptions(60, 0, rate=20)])
def test_an_interruption_ends_it_and_leaves_nobody_asking(load: LoadOptions) -> None:
    detector = NumberReader(delay=0.01)

    def interrupt(seconds: float) -> None:
        if len(detector.seen) > 5:
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run_load(detector, PICTURES, load, watch=interrupt)
    assert threading.active_count() == before
