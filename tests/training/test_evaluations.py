"""Evaluations on the way: the best weights are kept, TensorBoard shows all, and waiting has an end."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from support.labelled import drawn_examples, write_voc
from support.training_runs import train_command, write_preset
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator

from sightline.draw import color_of
from sightline.geometry import Stretch
from sightline_training import checkpoint
from sightline_training.annotations import read_dataset
from sightline_training.asked import asked_run
from sightline_training.board import Board
from sightline_training.coco_metrics import measure
from sightline_training.pictures import load_pictures
from sightline_training.presets import load_preset
from sightline_training.run import Run
from sightline_training.train import Standing, fit
from sightline_training.workflow import begin_run, whole


def told(run: Run) -> EventAccumulator:
    return EventAccumulator(str(run.board), {TENSORS: 0}).Reload()


def pictures_of(board: EventAccumulator) -> list[np.ndarray]:
    """The pictures of the first evaluation, uint8 [h, w, 3]."""
    _width, _height, *encoded = tf.make_ndarray(board.Tensors("held out")[0].tensor_proto)
    return [tf.io.decode_png(picture).numpy() for picture in encoded]


def test_the_best_evaluation_and_the_wait_for_a_better_one() -> None:
    standing = Standing()
    assert [standing.improved(ap) for ap in (0.0, 0.3, 0.3, 0.2)] == [True, True, False, False]
    assert (standing.best, standing.waited) == (0.3, 2)
    assert standing.over(2)
    assert not standing.over(3)
    assert not standing.over(0)  # never
    assert standing.improved(0.31)
    assert not standing.over(1)


def test_of_pictures_with_nothing_to_find_the_latest_weights_are_kept() -> None:
    standing = Standing()
    assert [standing.improved(math.nan) for _ in range(3)] == [True, True, True]
    assert not standing.over(1)


@pytest.mark.slow
def test_the_best_checkpoint_is_the_one_with_the_highest_ap(tmp_path: Path) -> None:
    """A learning rate that rises to the end first teaches, then destroys."""
    write_voc(tmp_path / "data", 6)
    split = whole(read_dataset(tmp_path / "data"))
    recipe = write_preset(
        tmp_path,
        steps=90,
        every=15,
        learning_rate=0.1,
        warmup_steps=90,
        average=0.0,
        matched=0.4,
        unmatched=0.3,
        focal_alpha=0.5,
    )
    run = begin_run(tmp_path / "run", split, load_preset(recipe))
    measured = {}
    fit(run, split.training, split.training, tell=lambda now: measured.update({now.step: now.metrics}))
    ap_at = {step: metrics.AP for step, metrics in measured.items() if metrics is not None}
    assert list(ap_at) == [15, 30, 45, 60, 75, 90]
    best = max(ap_at, key=lambda step: ap_at[step])
    assert ap_at[90] < ap_at[best]
    notes = json.loads(str(checkpoint.read(run.best)["notes"]))
    assert notes == {"step": best, "AP": ap_at[best]}
    assert run.summary()["best"] == ap_at[best]
    again = measure(split.training, asked_run(run).outputs(split.training))
    assert pytest.approx(ap_at[best], abs=1e-6) == again.AP


@pytest.mark.slow
def test_a_run_that_gets_no_better_stops_and_tensorboard_has_all_of_it(tmp_path: Path) -> None:
    write_voc(tmp_path / "data", 9)
    out = tmp_path / "run"
    recipe = write_preset(tmp_path, steps=40, every=2, learning_rate=1e-9, warmup_steps=1, patience=2)
    train_command("fit", "--data", tmp_path / "data", "--folds", 3, "--preset", recipe, "--out", out)
    run = Run.open(out)
    assert run.done
    board = told(run)
    tags = set(board.Tags()["tensors"])
    assert {"training/loss", "training/learning rate", "held out/AP", "held out/AP50"} <= tags
    steps = [event.step for event in board.Tensors("held out/AP")]
    assert steps == [2, 4, 6]  # the first is the best, and two more are waited for
    losses = [tf.make_ndarray(event.tensor_proto) for event in board.Tensors("training/loss")]
    assert np.isfinite(losses).all()
    assert len(pictures_of(board)) == 3


def test_tensorboards_pictures_show_labelled_and_found_boxes(tmp_path: Path) -> None:
    dataset = drawn_examples(tmp_path / "data", 8)
    pixels = load_pictures(dataset.examples, Stretch(96, 96))
    outputs = {
        "detection_boxes": np.tile(np.array([0.25, 0.25, 0.75, 0.75], np.float32), (8, 2, 1)),
        "detection_scores": np.tile(np.array([0.9, 0.1], np.float32), (8, 1)),
        "detection_classes": np.tile(np.array([2, 1], np.float32), (8, 1)),
        "num_detections": np.full(8, 2, np.float32),
    }
    board = Board(tmp_path / "board")
    board.evaluation(7, measure(dataset, outputs), dataset, pixels, outputs)
    board.close()
    shown = pictures_of(EventAccumulator(str(tmp_path / "board"), {TENSORS: 0}).Reload())
    assert len(shown) == 6
    for picture in (shown[0], shown[-1]):  # the first of the set, and the last
        assert picture.shape == (384, 384, 3)  # enlarged
        left = np.abs(picture[150:234, 96].astype(int) - color_of(2))  # of what was found, smooth
        assert left.max() < 20
        assert (picture == color_of(2)).all(-1).sum() > 200  # the ground of its label
        assert not (picture == color_of(1)).all(-1).any()  # nothing of what it is hardly sure of
    for picture, example in ((shown[0], dataset.examples[0]), (shown[-1], dataset.examples[-1])):
        for ymin, xmin, ymax, _ in Stretch.to_pixels(example.corners(), 384, 384):
            edge = picture[round(float(ymin)) : round(float(ymax)), round(float(xmin))]
            assert (edge == 255).all(-1).mean() > 0.8
