"""The same pictures by pixels, encoded bytes, gRPC and HTTP: no way loses half a point of AP."""

from __future__ import annotations

from typing import Any

import pytest
from support.labelled import write_voc
from support.model_servers import server_here
from support.running_gateway import running_gateway

from bench.parity import ENCODED, GRPC, HTTP, PIXELS, Way, answers, compare, report, within
from sightline_training.annotations import read_dataset
from sightline_training.examples import Dataset
from sightline_training.presets import load_preset
from sightline_training.workflow import begin_run, export_run, train_run, whole

PICTURES = 12  # few, and learnt by heart: of a half-trained network, AP turns on the last digit of a pixel
PRESET = """
[network]
size = 128
multiplier = 0.25
[fit]
steps = 300
batch_size = 8
learning_rate = 0.008
warmup_steps = 10
average = 0.9
checkpoint_every = 300
evaluate_every = 300
matched = 0.4
unmatched = 0.3
focal_alpha = 0.5
overlap_weight = 1.0
[augmentation]
zoom_out = 0.0
zoom_in = 0.0
brightness = 0.0
contrast = 0.0
saturation = 0.0
tint = 0.0
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, dict[str, Any]]:
    """Drawn pictures and what a network that has learnt them by heart answers, by each way."""
    folder = tmp_path_factory.mktemp("parity")
    dataset = write_voc(folder / "data", PICTURES)
    recipe = folder / "recipe.toml"
    recipe.write_text(PRESET)
    split = whole(read_dataset(folder / "data"))
    run = begin_run(folder / "run", split, load_preset(str(recipe)))
    train_run(run, split)
    base = folder / "models" / "droids"
    export_run(run, base, folder / "data")
    with (
        server_here("--model_name=droids", f"--model_base_path={base}") as server,
        running_gateway(server.address) as url,
    ):
        return dataset, answers(base, dataset.examples, server.address, url)


@pytest.mark.slow
def test_all_ways_in_measure_the_same(found: tuple[Dataset, dict[str, Any]]) -> None:
    dataset, outputs = found
    ways = compare(dataset, outputs)
    assert [way.name for way in ways] == [PIXELS, ENCODED, GRPC, HTTP]
    assert ways[0].ap > 0.7, "it has learnt too little for its AP to say anything"
    assert within(ways), ways


@pytest.mark.slow
def test_a_way_that_moves_boxes_is_told(found: tuple[Dataset, dict[str, Any]]) -> None:
    dataset, outputs = found
    moved = {**outputs[PIXELS], "detection_boxes": outputs[PIXELS]["detection_boxes"] + 0.02}
    assert not within(compare(dataset, {**outputs, HTTP: moved}))


@pytest.mark.parametrize(("points", "verdict"), [(-0.5, "met"), (0.51, "missed")])
def test_the_report_says_whether_the_aim_is_met(points: float, verdict: str) -> None:
    ways = [Way(PIXELS, 0.77, 0.9, 0.0), Way(HTTP, 0.77 + points / 100, 0.9, points)]
    assert within(ways) is (verdict == "met")
    text = report(ways, 31)
    assert f"points of AP: {verdict}." in text
    assert f"| HTTP | {77 + points:.2f} | 90.00 | {points:+.2f} |" in text


def test_dbg(found):
    print(compare(*found))
