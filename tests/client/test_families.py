"""Exports of other families, asked and read by their signatures alone."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.fake_serving import FakeVersion, fake_serving
from support.pictures import jpeg

from sightline.detector import Serving
from sightline.errors import SignatureError
from sightline.families import FREE_SIDE, KERAS_SIDE, ForeignFamily, understand
from sightline.geometry import Fit, Stretch
from sightline.signatures import Signature, TensorSpec
from sightline.wire import serving_pb2 as wire

OD = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
OD_EXTRA = (*OD, "raw_detection_boxes", "raw_detection_scores", "detection_anchor_indices")
UINT8, FLOAT, STRING = wire.DT_UINT8, wire.DT_FLOAT, wire.DT_STRING
WIDTH, HEIGHT = 1600, 1200
BOX = (0.1, 0.2, 0.6, 0.5)  # ymin xmin ymax xmax of the one object that each export finds

# name -> input's name, dtype, shape; outputs; the shape that is expected to arrive
EXPORTS: dict[str, tuple[str, int, tuple[int, ...], tuple[str, ...], tuple[int, ...]]] = {
    "OD API TF1 image_tensor": ("inputs", UINT8, (-1, -1, -1, 3), OD, (1, 768, 1024, 3)),
    "OD API TF1 encoded": ("inputs", STRING, (-1,), OD, (1,)),
    "OD API TF2 image_tensor": ("input_tensor", UINT8, (1, -1, -1, 3), OD_EXTRA, (1, 768, 1024, 3)),
    "OD API TF2 float": ("input_tensor", FLOAT, (1, -1, -1, 3), OD_EXTRA, (1, 768, 1024, 3)),
    "OD API TF2 encoded": ("input_tensor", STRING, (1,), OD_EXTRA, (1,)),
    "OD API of fixed size": ("input_tensor", UINT8, (1, 320, 300, 3), OD, (1, 320, 300, 3)),
    "TF-Vision": ("inputs", UINT8, (1, -1, -1, 3), (*OD, "image_info"), (1, 768, 1024, 3)),
    "KerasHub": ("images", FLOAT, (-1, 512, 400, 3), ("boxes", "confidence", "labels"), (1, 512, 400, 3)),
    "KerasHub, any size": (
        "images", FLOAT, (-1, -1, -1, 3),
        ("boxes", "confidence", "labels", "num_detections"), (1, 640, 640, 3),
    ),
    "KerasCV": ("input_1", FLOAT, (-1, 640, 640, 3), ("boxes", "confidence", "classes"), (1, 640, 640, 3)),
}  # fmt: skip


class Export:
    """Finds one object of class 2 at BOX, told in the way of its family, and a second, weaker one first."""

    def __init__(self, outputs: tuple[str, ...]) -> None:
        self.outputs = outputs
        self.seen: list[NDArray[Any]] = []

    def __call__(self, inputs: Any) -> dict[str, NDArray[Any]]:
        (array,) = inputs.values()
        self.seen.append(array)
        pictures = [_picture(item) for item in array]
        made = [self._one(picture.shape[0], picture.shape[1]) for picture in pictures]
        return {name: np.stack([one[name] for one in made]) for name in self.outputs}

    def _one(self, height: int, width: int) -> dict[str, NDArray[Any]]:
        box = np.array([BOX, BOX, (0, 0, 0, 0)], np.float32)
        box[0] *= 0.5
        scores = np.array([0.6, 0.9, 0], np.float32)
        if "boxes" in self.outputs:
            pixels = box * np.array([height, width, height, width], np.float32)
            classes = np.array([1, 2, -1], np.float32)
            return {
                "boxes": pixels[:, [1, 0, 3, 2]] if "classes" in self.outputs else pixels,
                "confidence": np.where(classes < 0, -1, scores).astype(np.float32),
                "labels": classes,
                "classes": classes,
                "num_detections": np.array(2, np.int32),
            }
        if "image_info" in self.outputs:  # resized by half inside, then cropped 8 rows from the top
            scale, offset = 0.5, (8.0, 0.0)
            box = box * np.array([height, width] * 2, np.float32) * scale - np.array(
                [*offset, *offset], np.float32
            )
        info = ((height, width), (height / 2, width / 2), (0.5, 0.5), (8, 0))
        other = {name: np.zeros((3, 2), np.float32) for name in OD_EXTRA}
        return other | {
            "detection_boxes": box.astype(np.float32),
            "detection_scores": scores,
            "detection_classes": np.array([1, 2, 1], np.float32),
            "num_detections": np.array(2, np.float32),
            "image_info": np.array(info, np.float32),
        }


def _picture(item: Any) -> NDArray[Any]:
    if isinstance(item, bytes):
        decoded = cv2.imdecode(np.frombuffer(item, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        return np.asarray(decoded)
    return np.asarray(item)


@pytest.mark.parametrize("name", EXPORTS)
def test_each_export_is_asked_in_its_way_and_gives_the_same_box(name: str) -> None:
    key, dtype, shape, outputs, arrives = EXPORTS[name]
    export = Export(outputs)
    version = FakeVersion({"serving_default": ({key: (dtype, shape)}, outputs)}, export, card=None)
    with (
        fake_serving({"other": {7: version}}) as server,
        Serving(server.target, model="other", labels={1: "BB-8", 2: "R2-D2"}) as detector,
    ):
        first, second = detector.detect_many([jpeg(WIDTH, HEIGHT), jpeg(WIDTH, HEIGHT)])
        assert first == second or not isinstance(first, Exception)
    assert export.seen[0].shape[1:] == arrives[1:]
    fixed = shape[0] == 1 or (dtype != STRING and shape[1] < 0 and "boxes" not in outputs)
    assert server.batches == ([1, 1] if fixed else [2])
    for result in (first, second):
        assert not isinstance(result, Exception)
        assert result.model.version == 7
        assert [(found.label, found.score) for found in result.detections] == [("R2-D2", 0.9), ("BB-8", 0.6)]
        assert result.detections[0].box_normalized == pytest.approx(BOX, abs=0.002)
        assert result.detections[0].box.xmax == pytest.approx(BOX[3] * WIDTH, abs=3)


def test_pictures_reach_a_float_input_as_0_to_255() -> None:
    family = understand({"serving_default": _signature("float32", (1, 32, 32, 3), OD)})
    (tensor,) = family.inputs([np.full((32, 32, 3), 200, np.uint8)]).values()
    assert (tensor.dtype, tensor.max(), tensor.shape) == (np.float32, 200, (1, 32, 32, 3))


def test_a_pixel_signature_goes_before_an_encoded_one() -> None:
    family = understand(
        {
            "serving_default": _signature("string", (-1,), OD),
            "pixels": _signature("uint8", (-1, 64, 64, 3), OD),
        }
    )
    assert family.signature == "pixels"
    assert family.resize == Stretch(64, 64)


def test_what_a_model_of_any_size_is_sent() -> None:
    assert understand({"a": _signature("uint8", None, OD)}).resize == Fit(FREE_SIDE)
    keras = understand({"a": _signature("float32", (-1, -1, -1, 3), ("boxes", "confidence", "labels"))})
    assert isinstance(keras, ForeignFamily)
    assert keras.resize == Stretch(KERAS_SIDE, KERAS_SIDE)


@pytest.mark.parametrize(
    "signature",
    [
        ("int64", (-1, 64, 64, 3), OD),
        ("uint8", (-1, 64, 64, 1), OD),
        ("uint8", (-1, 64), OD),
        ("string", (-1, 2), OD),
        ("uint8", (-1, 64, 64, 3), OD[:2]),
    ],
)
def test_what_is_no_detector_of_any_family_is_refused(signature: Any) -> None:
    with pytest.raises(SignatureError, match="the model offers odd"):
        understand({"odd": _signature(*signature)})


def _signature(dtype: str, shape: tuple[int, ...] | None, outputs: tuple[str, ...]) -> Signature:
    return Signature({"x": TensorSpec(dtype, shape)}, {name: TensorSpec("float32", None) for name in outputs})
