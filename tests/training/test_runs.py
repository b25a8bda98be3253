"""Runs: trained, killed and gone on with, measured, exported."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.labelled import write_voc
from support.training_runs import train_command, train_process, write_preset

from sightline.contract import ModelCard
from sightline.errors import InputError
from sightline_training import checkpoint
from sightline_training.cli import data as _data  # noqa: F401 - adds its commands
from sightline_training.cli import model as _model  # noqa: F401
from sightline_training.cli.main import cli
from sightline_training.export import export_version
from sightline_training.findings import Findings
from sightline_training.presets import load_preset, preset_names
from sightline_training.proof import ServedModel
from sightline_training.run import FitOptions, Run
from sightline_training.versions import next_version, versions_of

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
    assert set(card.thresholds) == {1, 2}
    assert "AP50" in card.metrics
    assert len(card.data["fingerprint"]) == 64


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    base = tmp_path / "droids"
    (base / "0007").mkdir(parents=True)
    assert next_version(base) == 8
    with pytest.raises(InputError, match="version 7 already"):
        export_version(base, None, None, None, None, version=7)  # type: ignore[arg-type]


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


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json is missing"):
        Run.open(tmp_path)


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


def test_a_checkpoint_is_read_whatever_else_the_process_has_made(tmp_path: Path) -> None:
    """Keras numbers optimizers and random generators by how many there were before."""
    import keras

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
