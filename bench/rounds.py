"""Interleaved rounds and what is said of them.

On a machine that others use too, what one measurement says of the next decays in seconds. So every
contender is measured once in each round, one after the other, and two are compared by the ratio within
a round; the median over the rounds is what counts, and the spread says how much it is worth.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Summary:
    """Of one number over the rounds."""

    median: float
    low: float  # lower quartile
    high: float  # upper quartile
    rounds: int

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a part of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0

    def __str__(self) -> str:
        return f"{_short(self.median)} ±{100 * self.spread:.0f} %"


def summarise(values: Sequence[float]) -> Summary:
    """Median and quartiles of at least one value."""
    if len(values) < 2:
        return Summary(values[0], values[0], values[0], len(values))
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(statistics.median(values), low, high, len(values))


def ratio(above: Sequence[float], below: Sequence[float]) -> Summary:
    """Of two contenders, round by round."""
    return summarise([a / b for a, b in zip(above, below, strict=True)])


class Rounds(Generic[T]):
    """What each contender measured, round by round."""

    def __init__(self, contenders: Mapping[str, Callable[[], T]]) -> None:
        self._contenders = contenders
        self.samples: dict[str, list[T]] = {name: [] for name in contenders}

    def run(self, rounds: int, told: Callable[[str], None] = lambda _: None) -> Rounds[T]:
        """Measure each contender once a round, starting with another one each time."""
        names = list(self._contenders)
        for number in range(rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                self.samples[name].append(self._contenders[name]())
            told(f"round {number + 1} of {rounds}")
        return self

    def of(self, name: str, read: Callable[[T], float]) -> list[float]:
        """One number of a contender, round by round."""
        return [read(sample) for sample in self.samples[name]]


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` (0 to 1) of them lie; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def plain(value: Any) -> Any:
    """Summaries as JSON's values."""
    if isinstance(value, Summary):
        return {"median": value.median, "low": value.low, "high": value.high, "rounds": value.rounds}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
