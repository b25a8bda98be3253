"""What runs a graph: in whose thread, and what it says of tensors that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sightline_serving.model_server.saved_model import load_saved_model
from sightline_serving.model_server.servable import Servable
from sightline_serving.model_server.sessions import PATIENCE, QUICK_S, TINY_S, _Times
from sightline_serving.model_server.status import Code, StatusError

FIRST_S = 0.3  # a first run, with which TensorFlow optimises the graph
SHORT_S = QUICK_S / 10


def test_only_what_is_usually_quick_runs_in_the_callers_thread() -> None:
    times = _Times()
    assert not times.are_short_beside(None)  # nothing is known yet
    times.add(FIRST_S)
    assert not times.are_short_beside(None)
    times.add(SHORT_S)
    assert times.are_short_beside(None)
    assert times.are_short_beside(FIRST_S * PATIENCE * 2)
    assert not times.are_short_beside(FIRST_S * PATIENCE / 2)  # it may have to be broken off


def test_a_run_that_was_held_up_changes_nothing_but_a_slow_model_does() -> None:
    times = _Times()
    times.add(SHORT_S)
    times.add(FIRST_S)
    assert times.are_short_beside(None)
    runs = 0
    while times.are_short_beside(None):
        times.add(QUICK_S * 2)
        runs += 1
    assert 2 < runs < 20


def test_only_what_is_surely_short_keeps_the_turn() -> None:
    times = _Times()
    assert not times.are_tiny
    times.add(FIRST_S)
    runs = 0
    while not times.are_tiny:  # others would have to wait for one like the first
        times.add(TINY_S / 2)
        runs += 1
    assert 20 < runs < 1000
    times.add(FIRST_S)
    assert not times.are_tiny
    times = _Times()
    times.add(SHORT_S * 5)
    assert not times.are_tiny


@pytest.fixture
def servable(models: Path) -> Iterator[Servable]:
    loaded = load_saved_model("module", 1, models / "module" / "1")
    yield loaded
    loaded.retire()


def test_answers_are_the_same_in_either_thread(servable: Servable) -> None:
    definition = servable.signatures["serving_default"]
    feeds = {definition.inputs["x"].name: np.float32([1.0, 5.0])}
    fetches = [definition.outputs["y"].name]
    for timeout in (None, 30.0, None, 30.0, None):
        (y,) = servable.session.run(feeds, fetches, timeout)
        assert y.tolist() == [2.5, 4.5]


@pytest.mark.parametrize(
    ("feed", "fetch", "code", "message"),
    [
        ("nope:0", None, Code.NOT_FOUND, "FeedInputs: unable to find feed output nope:0"),
        (None, "nope:0", Code.NOT_FOUND, "FetchOutputs node nope:0: not found"),
        (
            None,
            "serving_default_x:7",
            Code.INVALID_ARGUMENT,
            "FetchOutputs serving_default_x:7: output index too large, must be < 1",
        ),
    ],
)
def test_tensors_that_are_not_there(
    servable: Servable, feed: str | None, fetch: str | None, code: Code, message: str
) -> None:
    definition = servable.signatures["serving_default"]
    feeds = {feed or definition.inputs["x"].name: np.float32([1.0])}
    with pytest.raises(StatusError) as caught:
        servable.session.run(feeds, [fetch or definition.outputs["y"].name], None)
    assert (caught.value.code, caught.value.message) == (code, message)
