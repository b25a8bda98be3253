"""KerasHub's RetinaNet and D-FINE through the same commands and the same contract as the SSD."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from support.hub_folders import CLASSES, save_d_fine, save_retinanet
from support.labelled import write_voc
from support.model_servers import server_here

from sightline import DetectOptions, Serving
from sightline.contract import DETECTION_OUTPUTS, INPUT_IMAGES, SIGNATURE_PIXELS
from sightline.doctor import Outcome, examine
from sightline.errors import InputError
from sightline_training.cli import data as _data  # noqa: F401 - adds its commands
from sightline_training.cli import model as _model  # noqa: F401
from sightline_training.cli.main import cli
from sightline_training.detector import Detector
from sightline_training.families import architecture_for, architecture_from_json, family_of
from sightline_training.families.hub import HubArchitecture, HubStart, build_task
from sightline_training.families.set_loss import SetLoss, assign
from sightline_training.model import BOXES, Architecture
from sightline_training.model import CLASSES as CODES_OF_CLASSES
from sightline_training.presets import load_preset
from sightline_training.proof import ServedModel
from sightline_training.run import FitOptions, Run
from sightline_training.splits import fold_of
from sightline_training.starting import SsdStart, read_start
from sightline_training.workflow import begin_run, train_run

# Keras reads its own variables in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = 128  # pixels of the input
SAVERS = {"retinanet": save_retinanet, "d_fine": save_d_fine}
STEPS = {"retinanet": 25, "d_fine": 100}  # on one batch; a set of random boxes has to be told apart first
PRESET = """
[network]
family = "{family}"
size = 128
[fit]
steps = 4
batch_size = 3
warmup_steps = 1
checkpoint_every = 2
evaluate_every = 4
"""
# a batch of three pictures: one object, two objects, none
CORNERS = tf.constant(
    [[[0.1, 0.1, 0.5, 0.6], [0] * 4], [[0.2, 0.2, 0.5, 0.6], [0.5, 0.5, 0.9, 0.9]], [[0] * 4, [0] * 4]],
    tf.float32,
)
CLASS_IDS = tf.constant([[1, 0], [2, 1], [0, 0]])


def described(family: str = "retinanet") -> HubArchitecture:
    return HubArchitecture(family, CLASSES, SIZE, SIZE, {}, (1.0,) * 3, (0.0,) * 3)


def start_of(folder: Path, family: str) -> HubStart:
    found = read_start(str(SAVERS[family](folder / family)))
    assert isinstance(found, HubStart)
    return found


# ---- what is told before anything is built


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "task.json").write_text(json.dumps({"class_name": "RetinaNetObjectDetector"}))
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(InputError, match=r"pip install 'sightline-training\[hub\]'"):
        read_start(str(tmp_path))


def test_a_folder_of_another_keras_hub_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text(json.dumps({"class_name": "GemmaCausalLM"}))
    with pytest.raises(InputError, match="GemmaCausalLM; expected is one of RetinaNetObjectDetector"):
        read_start(str(tmp_path))
    (tmp_path / "task.json").write_text("[]")
    with pytest.raises(InputError, match="no description of a KerasHub model"):
        read_start(str(tmp_path))
    (tmp_path / "task.json").write_text(json.dumps({"class_name": "DFineObjectDetector"}))
    with pytest.raises(InputError, match="KerasHub cannot read"):
        read_start(str(tmp_path))


def test_weights_and_preset_of_different_kinds_are_named() -> None:
    start = HubStart(described(), (), "weights/theirs")
    with pytest.raises(InputError, match="holds weights of a retinanet, and the preset trains a ssd"):
        architecture_for("ssd", 2, SIZE, None, start)
    other = SsdStart({}, batch_norm=False, source="coco.tflite")
    with pytest.raises(InputError, match="holds weights of a ssd, and the preset trains a d_fine"):
        architecture_for("d_fine", 2, SIZE, None, other)
    with pytest.raises(InputError, match="begun from a folder of KerasHub's"):
        architecture_for("retinanet", 2, SIZE, None)
    with pytest.raises(InputError, match="no kind of network 'yolo'; there are ssd, retinanet, d_fine"):
        architecture_for("yolo", 2, SIZE, None)
    with pytest.raises(InputError, match="100 x 100 pixels; a retinanet takes multiples of 32"):
        architecture_for("retinanet", 2, 100, None, start)


def test_an_architecture_of_an_unknown_kind_is_refused() -> None:
    assert architecture_from_json({"classes": 2}) == Architecture(2)
    with pytest.raises(ValueError, match="no kind of network 'other'"):
        architecture_from_json({"family": "other"})


@pytest.mark.parametrize("family", SAVERS)
def test_the_presets_train_their_kind(family: str) -> None:
    preset = load_preset(family)
    assert preset.network.family == family
    assert preset.network.size % 32 == 0


def test_boxes_are_matched_picture_by_picture_at_the_least_cost() -> None:
    cost = np.full((2, 4, 3), 9.0, np.float32)
    cost[0, 2, 0], cost[0, 1, 0] = 1.0, 2.0
    cost[0, 2, 1], cost[0, 3, 1] = 1.0, 5.0  # both want box 2: 1 + 5 is more than 2 + 1
    cost[1, 0, 2] = 0.0
    asked = np.array([[True, True, False], [False, False, True]])
    rows, columns = assign(cost, asked)
    assert dict(zip(columns.tolist(), rows.tolist(), strict=True)) == {0: 1, 1: 2, 2: 4}


# ---- held against KerasHub's own


class _Unsuppressed:
    """In place of KerasHub's suppression: gives the boxes that it is given."""

    def __init__(self, bounding_box_format: str) -> None:
        self.bounding_box_format = bounding_box_format

    def __call__(self, box_prediction: Any, class_prediction: Any, images: Any) -> dict[str, Any]:
        return {"boxes": box_prediction, "logits": class_prediction}


def pictures(count: int = 2) -> np.ndarray:
    return np.random.default_rng(7).uniform(0, 255, (count, SIZE, SIZE, 3)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("family", SAVERS)
def test_boxes_are_read_as_keras_hub_reads_them(tmp_path: Path, family: str) -> None:
    start = start_of(tmp_path, family)
    architecture = start.fit(Architecture(CLASSES, SIZE, SIZE))
    kind = family_of(architecture)
    model = kind.build()
    assert start.put_into(model) == []  # the same classes: every variable has its value
    boxes, scores = kind.read(model(pictures(), training=False))
    theirs = build_task(architecture)
    for variable, value in zip(theirs.variables, start.values, strict=True):
        variable.assign(value)
    scaled = pictures() * np.array(architecture.scale) + np.array(architecture.offset)
    theirs._prediction_decoder = _Unsuppressed(theirs.prediction_decoder.bounding_box_format)
    read = theirs.decode_predictions(theirs(scaled, training=False), scaled)
    assert theirs.prediction_decoder.bounding_box_format in ("yxyx", "xyxy")
    expected = np.asarray(read["boxes"]) / SIZE
    if theirs.prediction_decoder.bounding_box_format == "xyxy":
        expected = expected[..., [1, 0, 3, 2]]
    # KerasHub's RetinaNet clips to the picture here, ours when the boxes leave the graph. Random codes
    # are large, and sizes grow with their exponentials.
    np.testing.assert_allclose(np.clip(boxes, 0, 1), np.clip(expected, 0, 1), atol=5e-3)
    np.testing.assert_allclose(scores, tf.sigmoid(read["logits"]), atol=1e-4)


@pytest.mark.slow
def test_anchors_of_retinanet_undo_their_codes(tmp_path: Path) -> None:
    start = start_of(tmp_path, "retinanet")
    kind = family_of(start.fit(Architecture(2, SIZE, SIZE)))
    said = kind.targets(FitOptions())(CORNERS, CLASS_IDS)
    boxes, _ = kind.read({BOXES: said[BOXES][..., :4], CODES_OF_CLASSES: said[CODES_OF_CLASSES][..., :-1]})
    answering = said[BOXES][0, :, 4].numpy() > 0
    assert answering.any()
    found = boxes.numpy()[0, answering]
    np.testing.assert_allclose(found, np.tile(CORNERS[0, 0], (len(found), 1)), atol=1e-5)


# ---- trained, resumed, measured, exported, served


@pytest.mark.slow
@pytest.mark.parametrize("family", SAVERS)
def test_the_loss_falls_on_one_batch(tmp_path: Path, family: str) -> None:
    import keras

    start = start_of(tmp_path, family)
    architecture = start.fit(Architecture(2, SIZE, SIZE))
    kind = family_of(architecture)
    keras.utils.set_random_seed(1)
    model = kind.build()
    assert all("class" in path or "logits" in path or "score" in path for path in start.put_into(model))
    kind.freeze(model, 1)
    kind.compile(model, keras.optimizers.Adam(1e-3, global_clipnorm=10.0), FitOptions())
    targets = kind.targets(FitOptions())(CORNERS, CLASS_IDS)
    losses = [np.ravel(model.train_on_batch(pictures(3), targets))[0] for _ in range(STEPS[family])]
    assert losses[-1] < 0.7 * losses[0], losses


@pytest.mark.slow
@pytest.mark.parametrize("family", SAVERS)
def test_from_a_folder_of_keras_hubs_to_answers_of_a_server(tmp_path: Path, family: str) -> None:
    weights = SAVERS[family](tmp_path / "weights")
    data = tmp_path / "data"
    dataset = write_voc(data, 9)
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(PRESET.format(family=family))
    folder, base = tmp_path / "run", tmp_path / "models" / family
    _interrupted(folder, data, recipe, weights)
    fit = ["fit", "--data", data, "--preset", recipe, "--weights", weights, "--folds", "3", "--out", folder]
    for arguments in (
        [*fit, "--resume"],
        ["evaluate", folder, "--data", data],
        ["export", folder, base, "--data", data],
    ):
        result = CliRunner().invoke(cli, [str(item) for item in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
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


def _interrupted(folder: Path, data: Path, recipe: Path, weights: Path) -> None:
    """A run that was stopped at its third step, with a checkpoint of the second."""
    from sightline_training.annotations import read_dataset

    split = fold_of(read_dataset(data), 0, folds=3)
    start = read_start(str(weights))
    run = begin_run(folder, split, load_preset(str(recipe)), start)

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
    from sightline.geometry import Stretch
    from sightline.images import decode as decode_picture

    result = client.detect(picture, DetectOptions(threshold=0.0))
    pixels = Stretch(SIZE, SIZE).apply(decode_picture(picture).pixels)[None]
    expected = detector(pixels)
    count = int(expected["num_detections"][0])
    assert set(expected) == set(DETECTION_OUTPUTS)
    assert len(result.detections) == count > 0
    np.testing.assert_allclose(
        [found.score for found in result.detections], expected["detection_scores"][0, :count], atol=1e-3
    )


@pytest.mark.parametrize("page", ["training/README.md", "preset_files"])
def test_names_of_published_weights_are_keras_hubs(repository: Path, page: str) -> None:
    hub = pytest.importorskip("keras_hub")
    known = {*hub.models.RetinaNetObjectDetector.presets, *hub.models.DFineObjectDetector.presets}
    folder = repository / "training/sightline_training/preset_files"
    pages = folder.glob("*.toml") if page == "preset_files" else [repository / page]
    text = "\n".join(path.read_text() for path in pages)
    named = set(re.findall(r"\b(?:retinanet|dfine)_\w+", text))
    assert named
    assert named <= known


@pytest.mark.slow
def test_the_loss_of_d_fine_is_keras_hubs_with_the_cheapest_matching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KerasHub's matching fills up with costs of 1e9, beside which float32 loses the real ones."""
    from keras_hub.src.models.d_fine import d_fine_object_detector

    architecture = start_of(tmp_path, "d_fine").fit(Architecture(CLASSES, SIZE, SIZE))
    task = build_task(architecture)
    said = task(np.random.default_rng(1).random((1, SIZE, SIZE, 3)).astype(np.float32), training=True)
    # Its own sum takes a batch to show the same number of objects in each picture: one picture does.
    true = family_of(architecture).targets(FitOptions())(CORNERS[1:2], CLASS_IDS[1:2])
    ours = SetLoss(task)

    def cheapest(outputs: dict[str, Any], *_: Any) -> tuple[Any, Any, Any]:
        rows, columns = ours.match(outputs["logits"], outputs["pred_boxes"], true)
        return rows[None], columns[None], tf.ones_like(rows[None], tf.bool)

    monkeypatch.setattr(d_fine_object_detector, "hungarian_matcher", cheapest)
    theirs = task.compute_loss(None, true, said, None)
    assert float(ours(true, said)) == pytest.approx(float(theirs), rel=1e-5)
