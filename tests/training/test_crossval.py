"""Cross-validation and the evaluations on the way, on drawn pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from support.labelled import write_voc
from tensorboard.backend.event_processing.event_accumulator import IMAGES, TENSORS, EventAccumulator

from sightline_training.cli import data as _data  # noqa: F401 - adds its commands
from sightline_training.cli import model as _model  # noqa: F401
from sightline_training.cli.main import cli
from sightline_training.run import Run
from sightline_training.splits import cut

PRESET = """
[network]
size = 96
multiplier = 0.25
[fit]
steps = {steps}
batch_size = 4
learning_rate = {rate}
warmup_steps = 1
checkpoint_every = 2
evaluate_every = 2
patience = {patience}
"""


def preset(folder: Path, steps: int, rate: float = 5e-4, patience: int = 0) -> str:
    path = folder / f"preset-{steps}-{patience}.toml"
    path.write_text(PRESET.format(steps=steps, rate=rate, patience=patience))
    return str(path)


def command(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(item) for item in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_every_picture_is_held_out_once_and_a_second_call_trains_nothing(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "data", 9)
    arguments = ["crossval", "--data", tmp_path / "data", "--preset", preset(tmp_path, 2), "--folds", 3]
    told = command(*arguments, "--out", tmp_path / "cv")
    summary = json.loads((tmp_path / "cv" / "crossval.json").read_text())
    assert sum(fold["pictures"] for fold in summary["folds"]) == 9
    assert all(fold["cpu_seconds"] > 0 for fold in summary["folds"])
    mean = np.mean([fold["AP"] for fold in summary["folds"]])
    assert summary["mean"]["AP"] == pytest.approx(mean, abs=1e-4)
    assert "mean: AP" in told
    runs = [Run.open(tmp_path / "cv" / f"fold-{number}") for number in range(3)]
    held_out = [name for run in runs for name in run.settings.data["held_out"]]
    assert sorted(held_out) == sorted(example.name for example in dataset.examples)
    before = [run.last.stat().st_mtime_ns for run in runs]
    command(*arguments, "--out", tmp_path / "cv", "--report", tmp_path / "report")
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["thresholds"].keys() == {"1", "2"}
    assert [run.last.stat().st_mtime_ns for run in runs] == before
    assert json.loads((tmp_path / "cv" / "crossval.json").read_text()) == summary


@pytest.mark.slow
def test_a_run_that_gets_no_better_stops_and_tensorboard_has_all_of_it(tmp_path: Path) -> None:
    write_voc(tmp_path / "data", 9)
    out = tmp_path / "run"
    recipe = preset(tmp_path, 40, rate=1e-9, patience=2)
    command("fit", "--data", tmp_path / "data", "--folds", 3, "--preset", recipe, "--out", out)
    run = Run.open(out)
    assert run.done
    board = EventAccumulator(str(run.board), {TENSORS: 0, IMAGES: 0}).Reload()
    tags = set(board.Tags()["tensors"])
    assert {"training/loss", "training/learning rate", "held out/AP", "held out/AP50"} <= tags
    assert "held out" in tags  # pictures with boxes
    steps = [event.step for event in board.Tensors("held out/AP")]
    assert steps == [2, 4, 6]  # the first is the best, and two more are waited for
    losses = [tf.make_ndarray(event.tensor_proto) for event in board.Tensors("training/loss")]
    assert np.isfinite(losses).all()
    _width, _height, *drawn = tf.make_ndarray(board.Tensors("held out")[0].tensor_proto)
    assert len(drawn) == 3
    for picture in drawn:
        pixels = tf.io.decode_png(picture).numpy().reshape(-1, 3)
        assert (pixels == [0, 255, 0]).all(-1).any()  # the labelled box


def test_near_duplicates_are_never_on_both_sides(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "data", 6)
    twin = dataset.examples[0].path.read_bytes()
    dataset.examples[3].path.write_bytes(twin)
    parts = cut(dataset, 3)
    assert sorted(index for part in parts for index in part) == list(range(6))
    assert any({0, 3} <= set(part) for part in parts)
