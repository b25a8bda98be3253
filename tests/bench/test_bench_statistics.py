"""What is said of rounds: medians, spreads, ratios within a round, the order of contenders."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.rounds import Rounds, Summary, percentile, plain, ratio, summarise


def test_median_and_quartiles() -> None:
    assert summarise([3.0, 1.0, 2.0, 5.0, 4.0]) == Summary(3.0, 2.0, 4.0, 5)
    assert summarise([7.0]) == Summary(7.0, 7.0, 7.0, 1)


def test_the_spread_is_half_the_quartiles_distance_over_the_median() -> None:
    assert summarise([1.0, 2.0, 3.0, 4.0, 5.0]).spread == pytest.approx(1 / 3)
    assert str(summarise([2.0, 2.0, 2.0])) == "2 ±0 %"


def test_a_ratio_is_taken_within_rounds_so_a_slow_round_does_not_count_twice() -> None:
    gateway, floor = [2.0, 20.0, 2.2], [1.0, 10.0, 1.1]  # the machine was ten times slower in the second
    over = ratio(gateway, floor)
    assert over.median == pytest.approx(2.0)
    assert over.spread == pytest.approx(0.0)


def test_rounds_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])


def test_each_contender_is_measured_once_a_round_and_none_is_always_first() -> None:
    order: list[str] = []
    contenders = {name: (lambda name=name: order.append(name) or len(order)) for name in "abc"}
    rounds = Rounds(contenders).run(3)
    assert [order[:3], order[3:6], order[6:]] == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]
    assert rounds.of("a", float) == [1.0, 6.0, 8.0]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_a_percentile_is_one_of_the_values_and_has_its_part_below_it(
    values: list[float], part: float
) -> None:
    found = percentile(values, part)
    assert found in values
    assert sum(value <= found for value in values) >= math.floor(part * len(values))


def test_summaries_become_plain_json() -> None:
    assert plain({1: [Summary(1.0, 0.5, 2.0, 3)]}) == {
        "1": [{"median": 1.0, "low": 0.5, "high": 2.0, "rounds": 3}]
    }
