"""Runs: trained, killed and gone on with, measured, exported."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
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
from sightline.errors import InputError, UnavailableError
from sightline_training import checkpoint
from sightline_training.annotations import read_dataset
from sightline_training.cli import data as _data  # noqa: F401 - adds its commands
from sightline_training.cli import model as _model  # noqa: F401
from sightline_training.cli.main import cli
from sightline_training.examples import Dataset
from sightline_training.export import export_version
from sightline_training.presets import load_preset
from sightline_training.proof import ServedModel
from sightline_training.replacing import new_folder
from sightline_training.report import CURVES
from sightline_training.run import Run
from sightline_training.splits import fold_of
from sightline_training.train import fit
from sightline_training.versions import next_version, versions_of
from sightline_training.workflow import begin_run, held_out_of, train_run, whole

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
    train_command("export", run, models, "--data", data, "--next", "--warmup-batches", "4,2")
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
    for wrong in (0, 2**63):  # TensorFlow Serving passes over a folder whose number is no int64
        with pytest.raises(InputError, match=f"the version is {wrong}; it is a whole number from 1 to 9223"):
            export_version(base, None, None, None, None, version=wrong)  # type: ignore[arg-type]


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


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path: Path, data: Path) -> None:
    recipe = load_preset(write_preset(tmp_path, steps=4, every=4))
    split = whole(read_dataset(data))
    run = begin_run(tmp_path / "run", split, recipe)
    left = run.folder / f".{run.last.name}.4711.part"  # as a kill leaves it
    left.write_bytes(b"half a checkpoint")
    holder = (
        "import fcntl, sys; file = open(sys.argv[1], 'r+b'); fcntl.flock(file, fcntl.LOCK_EX);"
        " print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, run.folder / "run.json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UnavailableError, match=r"another process is training .*run; let it finish"):
            train_run(run, split)
        assert left.exists()
        other.kill()
    train_run(run, split)
    assert run.done
    assert not left.exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_asked_to_stop_tells_how_it_goes_on(
    tmp_path: Path, data: Path, number: signal.Signals
) -> None:
    recipe = write_preset(tmp_path, steps=100_000, every=4)
    command = train_process(
        "fit", "--data", data, "--preset", recipe, "--folds", 3, "--out", tmp_path / "run"
    )
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        deadline = time.monotonic() + WAIT_S
        while not (tmp_path / "run" / "last.npz").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        told = process.communicate(timeout=WAIT_S)[1].splitlines()
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert [line for line in told if line][-2:] == [
        f"{tmp_path / 'run'}: --resume goes on with it",
        "interrupted; nothing half-written is left",
    ]
    assert not list((tmp_path / "run").glob(".*"))
