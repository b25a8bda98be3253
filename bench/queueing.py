"""How many replicas a load needs: a queueing model with three numbers, fitted to measurements.

A request takes `rest` seconds that no other request delays (network, waiting for an answer) and `demand`
seconds of a core. `cores` of them serve one queue: M/G/c by Allen and Cunneen, which is Erlang's C for
the chance to wait, times a factor for how regular arrivals and service are. `variability` is that factor;
1 is Poisson arrivals and exponential service, 0.5 constant service.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_MOST_BUSY: Final = 0.999  # at and above it the queue grows without end
_VARIABILITIES: Final = [step / 20 for step in range(1, 201)]  # tried in the fit: 0.05 to 10


@dataclass(frozen=True, slots=True)
class Point:
    """A measured load."""

    rate: float  # requests per second
    cpu: float  # core-seconds per request, of everything that shares the cores
    latency: float  # mean seconds


@dataclass(frozen=True, slots=True)
class Station:
    """Cores that share one queue."""

    cores: int
    demand: float  # core-seconds per request
    rest: float  # seconds per request beside them
    variability: float

    @property
    def capacity(self) -> float:
        """Requests per second that it can never exceed."""
        return self.cores / self.demand

    def busy(self, rate: float) -> float:
        """Part of the cores that is in use at a rate."""
        return rate / self.capacity

    def latency(self, rate: float) -> float:
        """Mean seconds from arrival to answer; infinite at and beyond capacity."""
        busy = self.busy(rate)
        if busy >= _MOST_BUSY:
            return math.inf
        waiting = erlang_c(self.cores, busy) * self.demand / (self.cores * (1 - busy))
        return self.rest + self.demand + self.variability * waiting


def erlang_c(servers: int, busy: float) -> float:
    """The chance that an arrival has to wait, for Poisson arrivals and `busy` (0 to 1) of each server."""
    offered = servers * busy
    blocked = 1.0  # Erlang's B, by its recursion over the servers
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked / (1 - busy * (1 - blocked))


def fit(points: Sequence[Point], cores: int) -> Station:
    """The station that explains measured loads best.

    Demand is the mean of what was used. `rest` and `variability` are those with the least squared error of
    the latencies, relative to each.

    Raises:
        ValueError: there are fewer than two points, or one lies beyond the capacity that they tell.
    """
    if len(points) < 2:
        raise ValueError(f"a fit wants two loads or more, not {len(points)}")
    demand = sum(point.cpu for point in points) / len(points)
    best: tuple[float, Station] | None = None
    for variability in _VARIABILITIES:
        queue = Station(cores, demand, 0.0, variability)
        waits = [queue.latency(point.rate) for point in points]
        if math.inf in waits:
            raise ValueError(f"a load lies beyond the capacity of {queue.capacity:.0f} requests a second")
        weights = [1 / point.latency**2 for point in points]
        gaps = [
            (point.latency - wait) * weight
            for point, wait, weight in zip(points, waits, weights, strict=True)
        ]
        rest = max(0.0, sum(gaps) / sum(weights))
        station = Station(cores, demand, rest, variability)
        error = sum(((station.latency(point.rate) - point.latency) / point.latency) ** 2 for point in points)
        if best is None or error < best[0]:
            best = (error, station)
    assert best is not None
    return best[1]


def replicas(rate: float, station: Station, latency: float) -> int:
    """The fewest replicas of a station that answer a rate within a mean latency, the load spread evenly.

    Raises:
        ValueError: no number is enough, as one request alone takes longer.
    """
    if station.latency(0) >= latency:
        raise ValueError(f"one request alone takes {station.latency(0):.3f} s; asked for is {latency:.3f} s")
    number = max(1, math.ceil(station.busy(rate)))
    while station.latency(rate / number) > latency:
        number += 1
    return number
