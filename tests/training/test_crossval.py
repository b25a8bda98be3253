"""Cross-validation, on drawn pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.labelled import write_voc
from support.training_runs import train_command, write_preset

from sightline.errors import InputError
from sightline_training.annotations import read_dataset
from sightline_training.asked import asked_version
from sightline_training.coco_metrics import CocoMetrics
from sightline_training.crossval import Fold, kept_for, summary
from sightline_training.examples import Dataset
from sightline_training.labels import LabelMap
from sightline_training.presets import load_preset
from sightline_training.run import Run
from sightline_training.splits import cut, fold_of
from sightline_training.workflow import begin_run, whole


@pytest.mark.slow
def test_every_picture_is_held_out_once_and_a_second_call_trains_nothing(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "data", 9)
    arguments = [
        "crossval",
        "--data",
        tmp_path / "data",
        "--preset",
        write_preset(tmp_path, steps=2, every=2),
        "--folds",
        3,
    ]
    told = train_command(*arguments, "--out", tmp_path / "cv")
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
    train_command(*arguments, "--out", tmp_path / "cv", "--report", tmp_path / "report")
    reported = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert reported == {name: summary[name] for name in ("metrics", "thresholds")}
    assert [run.last.stat().st_mtime_ns for run in runs] == before
    assert json.loads((tmp_path / "cv" / "crossval.json").read_text()) == summary


@pytest.mark.slow
def test_thresholds_of_all_parts_go_into_the_card_of_a_run_on_all_pictures(tmp_path: Path) -> None:
    write_voc(tmp_path / "data", 9)
    learn = ["--data", tmp_path / "data", "--preset", write_preset(tmp_path, steps=2, every=2)]
    folds, run, models = tmp_path / "cv", tmp_path / "run", tmp_path / "models" / "droids"
    train_command("crossval", *learn, "--folds", 3, "--out", folds)
    train_command("fit", *learn, "--folds", 1, "--out", run)
    export = ["export", run, models, "--data", tmp_path / "data"]
    assert "its card has no thresholds" in train_command(*export)
    # Two steps find nothing, so the thresholds of a longer training stand in.
    found = json.loads((folds / "crossval.json").read_text()) | {"thresholds": {"1": 0.25, "2": 0.75}}
    (folds / "crossval.json").write_text(json.dumps(found))
    assert "its card has no thresholds" not in train_command(*export, "--crossval", folds)
    bare, full = (asked_version(models / number).card for number in ("1", "2"))
    assert (bare.thresholds, bare.metrics) == ({}, {})
    assert full.thresholds == {int(number): value for number, value in found["thresholds"].items()}
    assert full.metrics == found["metrics"]
    assert full.data["pictures"] == 9


def test_a_card_takes_no_numbers_of_another_recipe_or_of_other_pictures(tmp_path: Path) -> None:
    write_voc(tmp_path / "data", 9)
    write_voc(tmp_path / "fewer", 6)
    recipe, other = (load_preset(write_preset(tmp_path, steps=steps, every=2)) for steps in (2, 4))
    everything, folds = whole(read_dataset(tmp_path / "data")), tmp_path / "cv"
    begin_run(folds / "fold-0", fold_of(everything.training, 0, folds=3), recipe)
    run = begin_run(tmp_path / "run", everything, recipe)
    with pytest.raises(InputError, match=r"holds no cross-validation: crossval\.json is missing"):
        kept_for(run, folds)
    facts: dict[str, object] = {"mean": {"AP": 0.5}}
    (folds / "crossval.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="is not finished; the same `crossval` command goes on with it"):
        kept_for(run, folds)
    kept = {"metrics": {"AP": 0.4}, "thresholds": {"1": 0.3, "2": 0.4}}
    facts |= {**kept, "fingerprint": everything.training.fingerprint()}
    (folds / "crossval.json").write_text(json.dumps(facts))
    assert kept_for(run, folds) == kept
    with pytest.raises(InputError, match="another recipe, or from other weights"):
        kept_for(begin_run(tmp_path / "longer", everything, other), folds)
    with pytest.raises(InputError, match="has learnt from other pictures"):
        kept_for(begin_run(tmp_path / "part", whole(read_dataset(tmp_path / "fewer")), recipe), folds)


def test_near_duplicates_are_never_on_both_sides(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "data", 6)
    twin = dataset.examples[0].path.read_bytes()
    dataset.examples[3].path.write_bytes(twin)
    parts = cut(dataset, 3)
    assert sorted(index for part in parts for index in part) == list(range(6))
    assert any({0, 3} <= set(part) for part in parts)


def test_a_fold_with_nothing_to_find_counts_in_no_mean() -> None:
    empty = Dataset(LabelMap(("BB-8",)), ())
    nan = float("nan")
    measured = [CocoMetrics(ap, 0.5, nan, nan, nan, ap, 0.5) for ap in (0.25, 0.75)]
    nothing = CocoMetrics(nan, nan, nan, nan, nan, nan, nan)
    found = summary([Fold(number, 1.0, empty, {}, each) for number, each in enumerate((*measured, nothing))])
    assert found["mean"] == {"AP": 0.5, "AP50": 0.5}
    assert found["stdev"].keys() == {"AP", "AP50"}
    json.dumps(found, allow_nan=False)
