"""The queueing model against closed forms, and the fit against loads made from a known station."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.queueing import Point, Station, erlang_c, fit, replicas

TWO_CORES = Station(cores=2, demand=0.01, rest=0.002, variability=1.0)


@pytest.mark.parametrize(
    ("servers", "busy", "chance"),
    [(1, 0.5, 0.5), (1, 0.9, 0.9), (2, 0.5, 1 / 3), (2, 0.75, 9 / 14), (8, 0.0, 0.0)],
)
def test_erlangs_c(servers: int, busy: float, chance: float) -> None:
    assert erlang_c(servers, busy) == pytest.approx(chance)


def test_one_server_is_m_m_1() -> None:
    station = Station(cores=1, demand=0.02, rest=0.0, variability=1.0)
    for rate in (5.0, 25.0, 45.0):
        assert station.latency(rate) == pytest.approx(1 / (1 / 0.02 - rate))


def test_beyond_capacity_the_queue_has_no_end() -> None:
    assert TWO_CORES.capacity == pytest.approx(200)
    assert TWO_CORES.latency(200) == math.inf
    assert TWO_CORES.latency(0) == pytest.approx(0.012)


@given(
    demand=st.floats(0.002, 0.05),
    rest=st.floats(0.0, 0.05),
    variability=st.floats(0.3, 5),
    cores=st.integers(1, 16),
)
def test_the_fit_finds_the_station_that_made_the_loads(
    demand: float, rest: float, variability: float, cores: int
) -> None:
    station = Station(cores, demand, rest, variability)
    rates = [part * station.capacity for part in (0.3, 0.5, 0.7, 0.85)]
    points = [Point(rate, demand, station.latency(rate)) for rate in rates]
    found = fit(points, cores)
    for part in (0.4, 0.6, 0.8):  # not used for the fit
        rate = part * station.capacity
        assert found.latency(rate) == pytest.approx(station.latency(rate), rel=0.03)


def test_a_fit_says_what_is_wrong_with_its_points() -> None:
    with pytest.raises(ValueError, match="two loads or more, not 1"):
        fit([Point(10, 0.01, 0.02)], 2)
    with pytest.raises(ValueError, match="beyond the capacity of 200"):
        fit([Point(10, 0.01, 0.02), Point(250, 0.01, 0.02)], 2)


@given(st.floats(1, 5000), st.floats(0.013, 0.2))
def test_replicas_are_enough_and_one_fewer_is_not(rate: float, latency: float) -> None:
    number = replicas(rate, TWO_CORES, latency)
    assert TWO_CORES.latency(rate / number) <= latency
    assert number == 1 or TWO_CORES.latency(rate / (number - 1)) > latency


def test_a_latency_that_no_number_of_replicas_reaches_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one request alone takes 0\.012 s"):
        replicas(100, TWO_CORES, 0.01)
