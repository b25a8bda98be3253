"""RetinaNet and D-FINE through the same commands and the same contract as the SSD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hub_folders import SAVERS, SIZE
from support.labelled import write_voc
from support.model_servers import server_here
from support.training_runs import train_command, write_preset

from sightline import DetectOptions, Serving
from sightline.contract import (
    INPUT_IMAGES,
    OUTPUT_BOXES,
    OUTPUT_CLASSES,
    OUTPUT_COUNT,
    OUTPUT_SCORES,
    SIGNATURE_PIXELS,
)
from sightline.doctor import Outcome, examine
from sightline.geometry import Stretch
from sightline.images import decode
from sightline_training.annotations import read_dataset
from sightline_training.detector import Detector
from sightline_training.families import family_of
from sightline_training.families.hub import HubStart
from sightline_training.presets import load_preset
from sightline_training.proof import ServedModel
from sightline_training.run import Run
from sightline_training.splits import fold_of
from sightline_training.starting import read_start
from sightline_training.workflow import begin_run, train_run

# Keras reads its own variables in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ALIKE = 2e-3  # of scores and normalised corners: what graph optimisation and rounding in answers may change


@pytest.mark.slow
@pytest.mark.parametrize("family", SAVERS)
def test_from_a_folder_of_keras_hubs_to_answers_of_a_server(tmp_path: Path, family: str) -> None:
    weights = SAVERS[family](tmp_path / "weights")
    data = tmp_path / "data"
    dataset = write_voc(data, 9)
    network = {"family": family, "size": SIZE}
    recipe = write_preset(tmp_path, steps=4, every=2, network=network, batch_size=3, warmup_steps=1)
    folder, base = tmp_path / "run", tmp_path / "models" / family
    _interrupted(folder, data, recipe, weights)
    fit = ["fit", "--data", data, "--preset", recipe, "--weights", weights, "--folds", 3, "--out", folder]
    train_command(*fit, "--resume")
    train_command("evaluate", folder, "--data", data)
    train_command("export", folder, base, "--data", data)
    run = Run.open(folder)
    assert run.done
    assert _start_from_run(folder).family == family

    detector = Detector(run.trained(), run.settings.architecture)
    served = ServedModel(base / "1")
    with pytest.raises(ValueError, match="Cannot feed value"):  # H and W are fixed
        served.predict(SIGNATURE_PIXELS, INPUT_IMAGES, np.zeros((1, SIZE, SIZE - 32, 3), np.uint8))
    served.close()
    with (
        server_here(f"--model_name={family}", f"--model_base_path={base}") as server,
        Serving(server.address, model=family, timeout=60) as client,
    ):
        results = examine(base, serving=server.address, model=family)
        assert [item for item in results if item.outcome is not Outcome.PASS] == []
        _same_boxes(client, detector, dataset.examples[0].read())


def _interrupted(folder: Path, data: Path, recipe: str, weights: Path) -> None:
    """A run that was stopped at its third step, with a checkpoint of the second."""
    split = fold_of(read_dataset(data), 0, folds=3)
    start = read_start(str(weights))
    run = begin_run(folder, split, load_preset(recipe), start)

    def stop(progress: Any) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(run, split, start, tell=stop)
    assert run.last.exists()
    assert not run.done


def _start_from_run(folder: Path) -> HubStart:
    """A run's weights begin another one of as many classes with nothing left random."""
    found = read_start(str(folder))
    assert isinstance(found, HubStart)
    assert found.put_into(family_of(found.architecture).build()) == []
    return found


def _same_boxes(client: Serving, detector: Detector, picture: bytes) -> None:
    """The server's answer has a like for each box that the network in this process gives."""
    found = client.detect(picture, DetectOptions(threshold=0.0)).detections
    expected = detector(Stretch(SIZE, SIZE).apply(decode(picture).pixels)[None])
    count = int(expected[OUTPUT_COUNT][0])
    assert len(found) == count > 0
    boxes = np.array([detection.box_normalized for detection in found])
    scores = np.array([detection.score for detection in found])
    classes = np.array([detection.class_id for detection in found])
    for slot in range(count):  # in any order: random networks give many scores that are nearly the same
        box, score, class_id = (
            expected[name][0, slot] for name in (OUTPUT_BOXES, OUTPUT_SCORES, OUTPUT_CLASSES)
        )
        like = (np.abs(boxes - box).max(1) < ALIKE) & (np.abs(scores - score) < ALIKE) & (classes == class_id)
        assert like.any(), (slot, box, score, class_id)
