"""Runs: trained, killed and gone on with, measured, exported."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from support.labelled import write_voc
from support.training_runs import train_command, train_process, write_preset

from sightline.contract import ModelCard
from sightline.errors import InputError
from sightline_training import checkpoint
from sightline_training.annotations import read_dataset
from sightline_training.cli import data as _data  # noqa: F401 - adds its commands
from sightline_training.cli import model as _model  # noqa: F401
from sightline_training.cli.main import cli
from sightline_training.examples import Dataset
from sightline_training.export import export_version
from sightline_training.findings import Curve, Findings
from sightline_training.presets import load_preset, preset_names
from sightline_training.proof import ServedModel
from sightline_training.replacing import new_folder
from sightline_training.report import CURVES
from sightline_training.run import FitOptions, Run
from sightline_training.splits import fold_of
from sightline_training.train import fit
from sightline_training.versions import next_version, versions_of
from sightline_training.workflow import begin_run, held_out_of, whole

WAIT_S = 400  # for a process that starts TensorFlow on a busy machine


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_voc(tmp_path / "data", 12)
    return tmp_path / "data"


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_where_an_unbroken_one_does(tmp_path: Path, data: Path) -> None:
    fit = [
        "fit",
        "--data",
        str(data),
        "--preset",
        write_preset(tmp_path, steps=8, every=4),
        "--folds",
        "3",
        "--out",
    ]
    process = subprocess.Popen(train_process(*fit, tmp_path / "cut"), stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + WAIT_S
        while not (tmp_path / "cut" / "last.npz").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not Run.open(tmp_path / "cut").done
    refused = CliRunner().invoke(cli, [*fit, str(tmp_path / "cut")])
    assert isinstance(refused.exception, InputError)
    assert "--resume goes on with it" in refused.exception.detail
    train_command(*fit, tmp_path / "cut", "--resume")
    train_command(*fit, tmp_path / "whole")
    one, other = (checkpoint.weights(tmp_path / name / "last.npz") for name in ("whole", "cut"))
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-2, atol=1e-2, err_msg=name)
    assert list((tmp_path / "whole" / "tensorboard").glob("events.*"))


@pytest.mark.slow
def test_from_pictures_to_a_served_version_by_commands(tmp_path: Path, data: Path) -> None:
    run, models = tmp_path / "run", tmp_path / "models" / "droids"
    recipe = write_preset(tmp_path, steps=4, every=4)
    train_command("fit", "--data", data, "--out", run, "--preset", recipe, "--folds", 3)
    train_command("evaluate", run, "--data", data, "--report", tmp_path / "report")
    train_command("export", run, models, "--data", data, "--version", 3)
    train_command("export", run, models, "--data", data, "--next")
    assert versions_of(models) == [3, 4]
    assert not list(models.glob(".*"))
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"metrics.json", "precision-recall.png", "confusion.png", "false-alarms", "misses"}
    served = ServedModel(models / "4")
    (text,) = served.predict("card", "query", np.array([b""], object))["card"]
    served.close()
    card = ModelCard.from_dict(json.loads(text))
    assert card.labels == {1: "BB-8", 2: "R2-D2"}
    reported = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert card.thresholds == {int(number): score for number, score in reported["thresholds"].items()}
    assert "AP50" in card.metrics
    assert len(card.data["fingerprint"]) == 64


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    base = tmp_path / "droids"
    (base / "0007").mkdir(parents=True)
    assert next_version(base) == 8
    with pytest.raises(InputError, match="version 7 already"):
        export_version(base, None, None, None, None, version=7)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"droids, and --version 9$"):
        export_version(base / "9", None, None, None, None)  # type: ignore[arg-type]


def test_presets_are_read_and_their_heads_tell_command_time_and_score() -> None:
    import sightline_training

    folder = Path(sightline_training.__file__).parent / "preset_files"
    assert {"demo", "droids"} <= set(preset_names())
    for name in preset_names():
        assert load_preset(name).fit.steps > 0
        head = (folder / f"{name}.toml").read_text().split("[")[0]
        assert all(f"#   {word}" in head for word in ("command", "time", "expect"))


def test_a_preset_with_an_unknown_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[fit]\nstep = 3\n")
    with pytest.raises(InputError, match="unknown fields: step"):
        load_preset(str(path))
    with pytest.raises(InputError, match="there is no preset 'other'"):
        load_preset("other")
    with pytest.raises(InputError, match="evaluate_every"):
        FitOptions(checkpoint_every=50, evaluate_every=70)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('steps = "many"', "has steps = 'many'; wanted is a whole number"),
        ("steps = 12.5", "has steps = 12.5; wanted is a whole number"),
        ("steps = true", "has steps = True; wanted is a whole number"),
        ('learning_rate = "5e-4"', "has learning_rate = '5e-4'; wanted is a number"),
        ("learning_rate = -1", "learning_rate is -1; it must be more than 0"),
        ("learning_rate = nan", "learning_rate is nan; it must be more than 0"),
        ("steps = 0", "steps is 0; it must be at least 1"),
        ('[network]\nsize = "300"', "has size = '300'; wanted is a whole number"),
        ("[network]\nmultiplier = 0", "multiplier is 0; it must be more than 0"),
        ('[augmentation]\nzoom_out = "x"', "has zoom_out = 'x'; wanted is a number"),
        ("[augmentation]\nfarthest = -3", "farthest is -3; it must be at least 1"),
        ("[augmentation]\ncontrast = 5", "contrast is 5; it must be at least 0 and at most 1"),
    ],
)
def test_a_preset_with_a_wrong_value_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"[fit]\n{line}\n")
    with pytest.raises(InputError) as fault:
        load_preset(str(path))
    assert said in fault.value.detail
    assert str(path) in fault.value.detail


def test_what_a_run_was_begun_with_otherwise_is_named(tmp_path: Path) -> None:
    write_voc(tmp_path / "data", 9)
    dataset = read_dataset(tmp_path / "data")
    recipe, other = (load_preset(write_preset(tmp_path, steps=steps, every=2)) for steps in (2, 4))
    split = fold_of(dataset, 0, folds=3)
    begin_run(tmp_path / "run", split, recipe)
    assert begin_run(tmp_path / "run", split, recipe, resume=True).settings.fit.steps == 2
    bare = tuple(replace(example, boxes=()) for example in split.training.examples)
    relabelled = replace(split.training, examples=bare)
    ways = {
        "fit.steps is 4, not 2": (split, other),
        "learnt from and": (whole(dataset), recipe),
        "there are other pictures": (fold_of(dataset, 1, folds=3), recipe),
        "the same pictures have other names or labels": (replace(split, training=relabelled), recipe),
    }
    for said, (now, preset) in ways.items():
        with pytest.raises(InputError, match=said):
            begin_run(tmp_path / "run", now, preset, resume=True)


def test_a_picture_that_was_learnt_from_is_known_by_what_it_shows(tmp_path: Path) -> None:
    write_voc(tmp_path / "data", 9)
    split = fold_of(read_dataset(tmp_path / "data"), 0, folds=3)
    run = begin_run(tmp_path / "run", split, load_preset(write_preset(tmp_path, steps=2, every=2)))
    assert held_out_of(run, read_dataset(tmp_path / "data")).examples == split.held_out.examples
    with pytest.raises(InputError, match="has learnt from all of these"):
        held_out_of(run, split.training)
    renamed = tuple(replace(item, name=f"other-{item.name}") for item in split.training.examples)
    named = replace(split.held_out.examples[0], name=split.training.examples[0].name)
    mixed = Dataset(split.training.labels, (*renamed, named))
    assert held_out_of(run, mixed).examples == (named,)


def test_a_report_takes_the_place_of_a_report_and_of_nothing_else(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with new_folder(tmp_path / "report", kind=CURVES) as part:
            (part / CURVES).write_text(text)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert (tmp_path / "report" / CURVES).read_text() == "new"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").touch()
    with pytest.raises(InputError, match="is there already"), new_folder(tmp_path / "mine", kind=CURVES):
        raise AssertionError("the work has begun")


@pytest.mark.slow
def test_as_many_steps_are_made_as_are_asked_for(tmp_path: Path, data: Path) -> None:
    recipe = write_preset(tmp_path, steps=3, every=2)
    told = train_command("fit", "--data", data, "--out", tmp_path / "run", "--preset", recipe, "--folds", 3)
    assert "trained 3 steps" in told
    assert json.loads((tmp_path / "run" / "done.json").read_text())["steps"] == 3


@pytest.mark.slow
def test_a_training_that_diverges_ends_with_a_word(tmp_path: Path, data: Path) -> None:
    split = whole(read_dataset(data))
    run = begin_run(tmp_path / "run", split, load_preset(write_preset(tmp_path, steps=4, every=2)))

    def run_away(model: keras.Model) -> None:
        model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])

    with pytest.raises(InputError, match=r"nan at step 1: the training diverged\. Try a smaller"):
        fit(run, split.training, start=run_away)
    assert not run.best.exists()


def test_weights_that_are_no_numbers_are_not_exported(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.set_weights([np.full((3, 2), np.nan), np.zeros(2)])
    with pytest.raises(InputError, match="no finite numbers"):
        export_version(tmp_path / "droids", model, None, None, None)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json is missing"):
        Run.open(tmp_path)


def test_a_run_that_does_not_tell_what_it_has_learnt_from_is_refused(tmp_path: Path) -> None:
    write_voc(tmp_path / "data", 6)
    split = whole(read_dataset(tmp_path / "data"))
    run = begin_run(tmp_path / "run", split, load_preset("demo"))
    plain = json.loads((run.folder / "run.json").read_text())
    del plain["data"]["learnt"]
    (run.folder / "run.json").write_text(json.dumps(plain))
    with pytest.raises(InputError, match="which pictures were learnt from; train the run anew"):
        Run.open(run.folder)


def test_thresholds_and_confusion_of_known_findings(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path, 6)
    most = 4
    outputs = {
        "detection_boxes": np.zeros((6, most, 4), np.float32),
        "detection_scores": np.zeros((6, most), np.float32),
        "detection_classes": np.zeros((6, most), np.float32),
        "num_detections": np.zeros(6, np.float32),
    }
    wanted = 0
    for number, example in enumerate(dataset.examples):
        for slot, box in enumerate(example.boxes):
            wanted += 1
            outputs["detection_boxes"][number, slot] = example.corners()[slot]
            outputs["detection_scores"][number, slot] = 0.9
            outputs["detection_classes"][number, slot] = dataset.labels.id_of(box.label)
        false = len(example.boxes)
        outputs["detection_boxes"][number, false] = (0.0, 0.0, 0.01, 0.01)
        outputs["detection_scores"][number, false] = 0.3
        outputs["detection_classes"][number, false] = 1
        outputs["num_detections"][number] = false + 1
    findings = Findings.of(dataset, outputs)
    thresholds = findings.thresholds()
    assert 0.3 < thresholds[1] < 0.9
    table = findings.confusion(thresholds)
    assert table.trace() == wanted
    assert table.sum() == wanted
    strict = findings.confusion({1: 0.95, 2: 0.95})
    assert strict[1:, 0].sum() == wanted
    assert len(findings.false_alarms(10)) == 6
    assert findings.misses(10, thresholds) == []


def test_a_threshold_lies_between_the_scores_that_it_parts() -> None:
    close = Curve(np.array([0.027789, 0.027636]), np.array([1.0, 0.5]), np.array([1.0, 1.0]))
    assert close.best_threshold() == 0.0277
    apart = Curve(np.array([0.9, 0.3]), np.array([1.0, 0.5]), np.array([1.0, 1.0]))
    assert apart.best_threshold() == 0.6
    equal = Curve(np.array([0.5, 0.5, 0.5]), np.array([1.0, 1.0, 0.6]), np.array([0.5, 1.0, 1.0]))
    assert equal.best_threshold() == 0.5
    nothing = Curve(np.array([0.5]), np.array([0.0]), np.array([0.0]))
    assert nothing.best_threshold() is None


def test_a_checkpoint_is_read_whatever_else_the_process_has_made(tmp_path: Path) -> None:
    """Keras numbers optimizers and random generators by how many there were before."""

    def made() -> tuple[keras.Model, keras.Optimizer]:
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="only")], name="net")
        layer = keras.layers.Dropout(0.5)
        model.add(layer)
        optimizer = keras.optimizers.Adam()
        optimizer.build(model.trainable_variables)
        return model, optimizer

    first, later = made(), made()
    assert [v.path for v in first[1].variables] != [v.path for v in later[1].variables]
    first[0].get_layer("only").set_weights([np.full((3, 2), 5.0), np.ones(2)])
    checkpoint.save(tmp_path / "last.npz", *first, step=7)
    assert checkpoint.restore(tmp_path / "last.npz", *later) == {"step": 7}
    np.testing.assert_array_equal(later[0].get_layer("only").get_weights()[0], 5.0)
