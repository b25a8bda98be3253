"""Anchors, codes, targets, the network, and the published weights in it."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from sightline.contract import DETECTION_OUTPUTS, OUTPUT_BOXES, OUTPUT_CLASSES, OUTPUT_COUNT, OUTPUT_SCORES
from sightline.errors import InputError
from sightline.geometry import Stretch
from sightline.images import decode
from sightline_training import boxes
from sightline_training.detector import Detector
from sightline_training.folding import fold_batch_norm
from sightline_training.losses import CLASS_LOSSES, VARIFOCAL, AnchoredLoss
from sightline_training.model import BOXES, CLASSES, Architecture, build_ssd
from sightline_training.starting import read_start
from sightline_training.suppression import SuppressionOptions, suppress
from sightline_training.targets import Matcher
from sightline_training.tflite_weights import open_tflite

WEIGHTS = "weights/coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite"
# The published network computes in 8 bits: half a step of the scores' scale, summed through 13 layers.
SCORE_TOLERANCE = 0.04
BOX_TOLERANCE = 0.02  # of the picture, for the ten surest boxes


def test_anchors_at_300_are_those_of_the_object_detection_api() -> None:
    anchors = Architecture(1).anchors()
    assert anchors.shape == (1917, 4)
    cell = 0.5 / 19
    np.testing.assert_allclose(anchors[0], [cell, cell, 0.1, 0.1], rtol=1e-6)
    np.testing.assert_allclose(anchors[1], [cell, cell, 0.2 / 2**0.5, 0.2 * 2**0.5], rtol=1e-6)
    np.testing.assert_allclose(anchors[-1], [0.5, 0.5, 0.95**0.5, 0.95**0.5], rtol=1e-6)


def test_codes_are_undone() -> None:
    anchors = tf.constant(Architecture(1, 96, 96).anchors())
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.5, (len(anchors), 2))
    corners = tf.constant(np.concatenate([low, low + rng.uniform(0.05, 0.5, low.shape)], 1), tf.float32)
    np.testing.assert_allclose(boxes.decode(boxes.encode(corners, anchors), anchors), corners, atol=1e-5)


def test_a_box_gets_its_anchors_and_an_ignored_one_silences_its_own() -> None:
    anchors = Architecture(2, 96, 96).anchors()
    match = Matcher(anchors, 2, matched=0.5, unmatched=0.4)
    box = tf.constant([[[0.1, 0.1, 0.6, 0.6], [0.0, 0.0, 0.0, 0.0]]])
    code, hot = match(box, tf.constant([[2, 0]]))
    positive = code[0, :, 4].numpy() > 0
    iou = boxes.pairwise_iou(boxes.to_corners(tf.constant(anchors)), box[0, :1]).numpy()[:, 0]
    assert positive[iou.argmax()]
    assert positive[iou >= 0.5].all()
    assert hot[0].numpy()[positive, 1].all()
    assert not hot[0].numpy()[:, 0].any()
    np.testing.assert_allclose(
        boxes.decode(code[0, :, :4], tf.constant(anchors)).numpy()[positive],
        np.tile(box[0, 0], (positive.sum(), 1)),
        atol=1e-5,
    )
    ignored_code, ignored_hot = match(box, tf.constant([[-1, 0]]))
    assert not ignored_code[0, :, 4].numpy().any()
    assert not ignored_hot[0].numpy()[iou >= 0.4, 2].any()
    assert ignored_hot[0].numpy()[iou < 0.4, 2].all()


@pytest.mark.parametrize("class_loss", CLASS_LOSSES)
@pytest.mark.parametrize("overlap", [0.0, 2.0])
def test_losses_are_nothing_for_the_right_answer_and_more_for_a_wrong_one(
    overlap: float, class_loss: str
) -> None:
    anchors = Architecture(2, 96, 96).anchors()
    code, hot = Matcher(anchors, 2, matched=0.5, unmatched=0.4)(
        tf.constant([[[0.1, 0.1, 0.6, 0.6]]]), tf.constant([[1]])
    )
    loss = AnchoredLoss(anchors, overlap, class_loss, 0.25)
    wanted = {BOXES: code, CLASSES: hot}
    right = {BOXES: code[..., :4], CLASSES: (hot[..., :2] - 0.5) * 40}
    nothing = loss(wanted, right)
    assert float(nothing[BOXES]) == pytest.approx(0, abs=1e-5)
    assert float(nothing[CLASSES]) < 1e-5
    assert float(loss(wanted, {**right, BOXES: code[..., :4] + 1})[BOXES]) > 1 + overlap / 2
    assert float(loss(wanted, {**right, CLASSES: -right[CLASSES]})[CLASSES]) > 1


def test_the_varifocal_loss_asks_a_score_for_the_overlap_of_its_box() -> None:
    anchors = Architecture(1, 96, 96).anchors()
    code, hot = Matcher(anchors, 1, matched=0.5, unmatched=0.4)(
        tf.constant([[[0.1, 0.1, 0.6, 0.6]]]), tf.constant([[1]])
    )
    moved = code[..., :4] + [3.0, 0.0, 0.0, 0.0]  # 0.3 of an anchor's height
    answering = code[0, :, 4].numpy() > 0
    overlap = boxes.iou(
        boxes.decode(code[..., :4], tf.constant(anchors)), boxes.decode(moved, tf.constant(anchors))
    ).numpy()[0]
    assert (overlap[answering] < 0.9).all()
    scores = np.where(answering, overlap, 1e-9)[None, :, None]
    loss = AnchoredLoss(anchors, 0.0, VARIFOCAL, 0.25)
    with tf.GradientTape() as tape:
        logits = tf.Variable(np.log(scores / (1 - scores)), dtype=tf.float32)
        classes = loss({BOXES: code, CLASSES: hot}, {BOXES: moved, CLASSES: logits})[CLASSES]
    # The least is where each score is the overlap.
    np.testing.assert_allclose(tape.gradient(classes, logits).numpy()[0], 0, atol=1e-4)


def test_suppression_keeps_one_of_two_alike_and_both_of_two_classes() -> None:
    corners = tf.constant([[[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.52], [0.6, 0.6, 0.9, 1.2]]])
    scores = tf.constant([[[0.9, 0.0], [0.8, 0.7], [0.0, 0.6]]])
    found = suppress(corners, scores, SuppressionOptions(max_detections=5))
    assert float(found[OUTPUT_COUNT][0]) == 3
    np.testing.assert_allclose(found[OUTPUT_SCORES][0], [0.9, 0.7, 0.6, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(found[OUTPUT_CLASSES][0], [1, 2, 2, 0, 0])
    assert float(tf.reduce_max(found[OUTPUT_BOXES])) == 1.0


def test_a_kept_box_is_placed_by_the_vote_of_its_own_class() -> None:
    corners = tf.constant(
        [
            [
                [0.1, 0.1, 0.5, 0.5],  # kept
                [0.1, 0.1, 0.5, 0.6],  # votes: IoU 0.8
                [0.1, 0.1, 0.5, 0.9],  # IoU 0.5, too far off to vote
                [0.6, 0.6, 0.9, 1.2],  # alone, clipped
            ]
        ]
    )
    scores = tf.constant([[[0.9, 0.0], [0.45, 0.6], [0.3, 0.0], [0.2, 0.0]]])
    found = suppress(corners, scores, SuppressionOptions(max_detections=4, vote=0.7))
    right = (0.9 * 0.5 + 0.8 * 0.45 * 0.6) / (0.9 + 0.8 * 0.45)
    np.testing.assert_allclose(
        found[OUTPUT_BOXES][0],
        [[0.1, 0.1, 0.5, right], [0.1, 0.1, 0.5, 0.6], [0.6, 0.6, 0.9, 1.0], [0, 0, 0, 0]],
        rtol=1e-5,
    )
    unmoved = suppress(corners, scores, SuppressionOptions(max_detections=4))
    for name in (OUTPUT_SCORES, OUTPUT_CLASSES, OUTPUT_COUNT):
        np.testing.assert_array_equal(found[name], unmoved[name])


def test_a_box_upon_a_surer_one_of_another_class_keeps_a_share_of_its_score() -> None:
    corners = tf.constant([[[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.52], [0.6, 0.6, 0.9, 0.9]]])
    scores = tf.constant([[[0.9, 0.0], [0.0, 0.7], [0.0, 0.5]]])
    found = suppress(corners, scores, SuppressionOptions(max_detections=4, rival=0.5))
    np.testing.assert_allclose(found[OUTPUT_SCORES][0], [0.9, 0.5, 0.35, 0], rtol=1e-6)
    np.testing.assert_array_equal(found[OUTPUT_CLASSES][0], [1, 2, 2, 0])
    np.testing.assert_allclose(
        found[OUTPUT_BOXES][0],
        tf.gather(corners[0], [0, 2, 1, 1])[:4].numpy() * [[1], [1], [1], [0]],
        rtol=1e-6,
    )
    assert float(found[OUTPUT_COUNT][0]) == 3


def test_folding_batch_norm_changes_no_answer() -> None:
    keras.utils.set_random_seed(3)
    architecture = Architecture(2, 96, 96, multiplier=0.25)
    model = build_ssd(architecture)
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if layer.name.endswith("BatchNorm"):
            layer.set_weights([rng.uniform(0.5, 1.5, value.shape) for value in layer.get_weights()])
    folded, plain = fold_batch_norm(model, architecture)
    assert not plain.batch_norm
    pixels = rng.uniform(0, 255, (2, 96, 96, 3)).astype(np.float32)
    one, other = model(pixels, training=False), folded(pixels, training=False)
    for name in (BOXES, CLASSES):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-3, atol=1e-3)


@pytest.mark.data
def test_the_published_weights_answer_as_the_interpreter_does(shared_data: Path) -> None:
    path = shared_data / WEIGHTS
    start = read_start(str(path))
    assert start.multiplier == 0.75
    architecture = start.fit(Architecture(90))
    model = build_ssd(architecture)
    assert start.put_into(model) == []
    interpreter = open_tflite(path, keep_all=True)
    details = {item["name"]: item for item in interpreter.get_tensor_details()}

    def tensor(name: str) -> np.ndarray:
        scale, zero = details[name]["quantization"]
        return (interpreter.get_tensor(details[name]["index"]).astype(float) - zero) * scale

    anchors = tf.constant(architecture.anchors())
    np.testing.assert_allclose(tensor("anchors"), anchors, atol=0.0033)  # rounded to 8 bits in the file
    photographs = sorted((shared_data / "samples").glob("*.jpg"))
    assert photographs
    for photograph in photographs:
        pixels = Stretch(300, 300).apply(decode(photograph.read_bytes()).pixels)[None]
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
        interpreter.invoke()
        said = model(pixels.astype(np.float32), training=False)
        scores = tf.sigmoid(said[CLASSES]).numpy()[0]
        np.testing.assert_allclose(scores, tensor("convert_scores")[0, :, 1:], atol=SCORE_TOLERANCE)
        theirs = boxes.decode(tf.constant(tensor("Squeeze"), tf.float32), anchors).numpy()[0]
        ours = boxes.decode(said[BOXES], anchors).numpy()[0]
        surest = np.argsort(-scores.max(1))[:10]
        np.testing.assert_allclose(ours[surest], theirs[surest], atol=BOX_TOLERANCE)
        final = Detector(model, architecture)(pixels)
        assert set(final) == set(DETECTION_OUTPUTS)
        best = int(scores.max(1).argmax())
        assert final[OUTPUT_CLASSES][0, 0] == scores[best].argmax() + 1


def test_a_wrong_weights_file_is_named_for_what_it_is(tmp_path: Path) -> None:
    cases = {
        "picture.tflite": (b"\xff\xd8\xff\xe0" + bytes(20), "a JPEG picture"),
        "page.tflite": (b"<html>not found</html>", "error page"),
        "model.pb": (b"\x08\x01\x12\x00", "frozen TensorFlow graph"),
        "empty.tflite": (b"", "an empty file"),
        "archive.tar.gz": (b"\x1f\x8b\x08\x00", "gzip"),
        "weights.npz": (b"PK\x03\x04" + bytes(20), "no checkpoint"),
        "cut.tflite": (bytes(4) + b"TFL3" + bytes(40), "no TFLite model that can be run"),
    }
    for name, (content, told) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=told):
            read_start(str(path))
    with pytest.raises(InputError, match=r"there are no weights .*expected is a quantised COCO"):
        read_start(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("files", "asked", "told"),
    [
        (("saved_model/saved_model.pb", "frozen_inference_graph.pb"), ".", "holds a frozen TensorFlow graph"),
        (("frozen_inference_graph.pb",), ".", "holds a frozen TensorFlow graph or SavedModel"),
        (("1/saved_model.pb",), ".", "holds a frozen TensorFlow graph or SavedModel"),
        (("model.ckpt.index", "checkpoint"), ".", "holds a TensorFlow checkpoint, which is not read"),
        (("model.ckpt.index",), "model.ckpt", "is the index of a TensorFlow checkpoint"),
        (("notes.txt",), ".", "holds no run: run.json is missing"),
    ],
)
def test_the_object_detection_apis_folders_are_named(
    tmp_path: Path, files: tuple[str, ...], asked: str, told: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(8))
    with pytest.raises(InputError, match=told):
        read_start(str(tmp_path / asked))
