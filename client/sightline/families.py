"""How to ask a served detector and how to read its answer, for each family of exports.

The family is told from the signatures alone (GetModelMetadata), so a SavedModel is served as it is:

contract      `images` uint8 [N, H, W, 3] -> the Object Detection API's outputs, batch free
OD API, TF1   `inputs` uint8 or string -> the same outputs (exporter.py, export_inference_graph)
OD API, TF2   `input_tensor` uint8, float or string, batch fixed at 1 (exporter_lib_v2.py)
TF-Vision     `inputs` -> the same names; boxes in pixels of the model's own input, and `image_info` says
              how that was made (official/vision/serving/detection.py)
KerasHub      any one input -> `boxes` (ymin xmin ymax xmax in pixels), `confidence`, `labels`
KerasCV       any one input -> `boxes` (xmin ymin xmax ymax in pixels), `confidence`, `classes`

Classes keep the numbers that the model gives them; -1 marks an unused slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.contract import (
    DETECTION_OUTPUTS,
    INPUT_IMAGES,
    OUTPUT_BOXES,
    OUTPUT_CLASSES,
    OUTPUT_COUNT,
    OUTPUT_SCORES,
    SIGNATURE_CARD,
    SIGNATURE_PIXELS,
)
from sightline.counted import counted
from sightline.errors import ServingError, SignatureError
from sightline.geometry import Fit, Stretch
from sightline.images import encode_png
from sightline.signatures import Signature, TensorSpec
from sightline.tensors import Tensors

FREE_SIDE: Final = 1024  # pixels of the longer side sent to a model that resizes by itself
KERAS_SIDE: Final = 640  # pixels of a square sent to a Keras model that takes any size
ABSOLUTE_FROM: Final = 2.0  # a coordinate above it is in pixels: normalised ones end near 1
_IMAGE_INFO: Final = "image_info"  # [N, 4, 2]: original size, wanted size, scale, offset; each y, x


class RawDetections(NamedTuple):
    """One picture's boxes as the model gave them, scores falling; plain numbers, M of each."""

    boxes: Sequence[Sequence[float]]  # ymin xmin ymax xmax, 0 to 1
    scores: Sequence[float]  # 0 to 1
    classes: Sequence[int]  # ids, from 1 in models of the contract


class Family(Protocol):
    """How to ask a model and read its answer. Two equal families are asked alike."""

    @property
    def resize(self) -> Stretch | Fit:
        """What makes a picture ready."""
        ...

    @property
    def signature(self) -> str:
        """The name of the signature to call."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs to ask for."""
        ...

    @property
    def batch(self) -> int | None:
        """The most pictures in one request; None where the model sets no bound."""
        ...

    def inputs(self, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[Any]]:
        """Resized pictures uint8 [h, w, 3] RGB -> the request's tensors."""
        ...

    def read(self, outputs: Tensors, count: int) -> list[RawDetections]:
        """The answer's tensors -> one `RawDetections` per picture.

        Raises:
            ServingError: an output is missing, or is not [count, ...]; or a class is no number.
        """
        ...


@dataclass(frozen=True, slots=True)
class ContractFamily:
    """Models of `sightline.contract`."""

    resize: Stretch
    signature: str = SIGNATURE_PIXELS
    outputs: tuple[str, ...] = DETECTION_OUTPUTS
    batch: None = None

    def inputs(self, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[Any]]:
        """As `Family.inputs`."""
        one = len(pictures) == 1  # the usual request; a view then saves copying the pixels
        return {INPUT_IMAGES: pictures[0][np.newaxis] if one else np.stack(pictures)}

    def read(self, outputs: Tensors, count: int) -> list[RawDetections]:
        """As `Family.read`."""
        slots = _slots(outputs, count)
        read, used = outputs.floats, outputs.floats(OUTPUT_COUNT, 0, count)
        found = []
        for i, number in enumerate(used):
            start = i * slots
            stop = start + int(min(number, slots)) if number > 0 else start  # NaN is not
            sides = iter(read(OUTPUT_BOXES, 4 * start, 4 * stop))
            boxes = list(zip(sides, sides, sides, sides, strict=True))
            classes = _whole(read(OUTPUT_CLASSES, start, stop))
            found.append(RawDetections(boxes, read(OUTPUT_SCORES, start, stop), classes))
        return found


@dataclass(frozen=True, slots=True)
class OutputNames:
    """What a family calls its outputs, and how it writes a box."""

    boxes: str
    scores: str
    classes: str
    xy: bool = False  # boxes are xmin ymin xmax ymax


OD_API: Final = OutputNames(OUTPUT_BOXES, OUTPUT_SCORES, OUTPUT_CLASSES)
KERAS: Final = OutputNames("boxes", "confidence", "labels")
KERAS_CV: Final = OutputNames("boxes", "confidence", "classes", xy=True)


@dataclass(frozen=True, slots=True)
class ForeignFamily:
    """Models of the Object Detection API, TF-Vision or KerasHub."""

    resize: Stretch | Fit
    signature: str
    input: str
    dtype: str  # of the input: uint8; float32, 0 to 255; or string, PNG bytes
    names: OutputNames
    outputs: tuple[str, ...]
    batch: int | None

    def inputs(self, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[Any]]:
        """As `Family.inputs`."""
        if self.dtype == "string":
            return {self.input: np.array([encode_png(picture) for picture in pictures], object)}
        return {self.input: np.stack(pictures).astype(self.dtype, copy=False)}

    def read(self, outputs: Tensors, count: int) -> list[RawDetections]:
        """As `Family.read`."""
        _shapes(outputs, self.outputs, count)
        arrays = {name: outputs[name] for name in self.outputs}
        return [self._read_one({name: array[i] for name, array in arrays.items()}) for i in range(count)]

    def _read_one(self, outputs: Mapping[str, NDArray[Any]]) -> RawDetections:
        scores = outputs[self.names.scores].astype(np.float32)
        classes = outputs[self.names.classes].astype(np.int64)
        used = (scores > 0) & (classes >= 0)
        if OUTPUT_COUNT in self.outputs:
            used[int(outputs[OUTPUT_COUNT].item()) :] = False
        boxes = outputs[self.names.boxes].astype(np.float32)
        if self.names.xy:
            boxes = boxes[:, [1, 0, 3, 2]]
        boxes = self._normalized(boxes, used, outputs.get(_IMAGE_INFO))
        order = np.argsort(-scores[used], kind="stable")
        kept = (array[used][order].tolist() for array in (boxes, scores, classes))
        return RawDetections(*kept)

    def _normalized(
        self, boxes: NDArray[np.float32], used: NDArray[np.bool_], info: NDArray[Any] | None
    ) -> NDArray[np.float32]:
        """Boxes as 0 to 1 of the picture, however the model gave them."""
        if not (boxes[used] > ABSOLUTE_FROM).any():
            return boxes
        if info is not None:
            (height, width), _wanted, scale, offset = info.astype(np.float32)
            pixels = (boxes + np.tile(offset, 2)) / np.tile(scale, 2)
            return np.clip(Stretch.to_normalized(pixels, height, width), 0, 1)
        return np.clip(Stretch.to_normalized(boxes, self.resize.height, self.resize.width), 0, 1)


def understand(signatures: Mapping[str, Signature]) -> Family:
    """Choose how to ask a model by what its signatures say.

    Raises:
        SignatureError: they are none that is understood; the message names what was found.
    """
    pixels = signatures.get(SIGNATURE_PIXELS)
    if pixels is not None and all(name in pixels.outputs for name in DETECTION_OUTPUTS):
        spec = pixels.inputs.get(INPUT_IMAGES)
        if spec is not None and spec.dtype == "uint8" and spec.shape is not None and len(spec.shape) == 4:
            batch, height, width, channels = spec.shape
            if batch < 0 and height > 0 and width > 0 and channels == 3:
                return ContractFamily(Stretch(height, width))
    foreign = list(_foreign(signatures))
    if foreign:  # pixels rather than encoded pictures: decoded here, a bad one fails alone
        return min(foreign, key=lambda family: family.dtype == "string")
    found = (
        "; ".join(f"{name}{signature}" for name, signature in sorted(signatures.items())) or "no signature"
    )
    raise SignatureError(
        f"the model offers {found}; wanted is {SIGNATURE_PIXELS}({INPUT_IMAGES}: uint8 [N, H, W, 3]) "
        f"-> ({', '.join(DETECTION_OUTPUTS)}), "
        "or an export of the Object Detection API, TF-Vision or KerasHub"
    )


def _foreign(signatures: Mapping[str, Signature]) -> Iterator[ForeignFamily]:
    """The signatures that are a detector's of another family; `serving_default` first."""
    for name in sorted(signatures, key=lambda name: (name != SIGNATURE_PIXELS, name)):
        signature = signatures[name]
        if name == SIGNATURE_CARD or len(signature.inputs) != 1:
            continue
        ((key, spec),) = signature.inputs.items()
        for names in (OD_API, KERAS, KERAS_CV):
            if {names.boxes, names.scores, names.classes} <= set(signature.outputs):
                resize = _resize(spec, names)
                if resize is not None:
                    optional = [extra for extra in (OUTPUT_COUNT, _IMAGE_INFO) if extra in signature.outputs]
                    outputs = (names.boxes, names.scores, names.classes, *optional)
                    batch = _batch(spec, resize)
                    yield ForeignFamily(resize, name, key, spec.dtype, names, outputs, batch)
                break


def _resize(spec: TensorSpec, names: OutputNames) -> Stretch | Fit | None:
    """How a picture is made ready for an input; None if the input takes no pictures."""
    free = Fit(FREE_SIDE) if names is OD_API else Stretch(KERAS_SIDE, KERAS_SIDE)
    shape = spec.shape
    if spec.dtype == "string":
        return free if shape is None or len(shape) == 1 else None
    if spec.dtype not in {"uint8", "float32"}:
        return None
    if shape is None:
        return free
    if len(shape) != 4 or shape[3] not in {3, -1}:
        return None
    return Stretch(shape[1], shape[2]) if shape[1] > 0 and shape[2] > 0 else free


def _batch(spec: TensorSpec, resize: Stretch | Fit) -> int | None:
    """Pictures in one request: one, where the model says so or where their sizes may differ."""
    fixed = spec.shape is None or spec.shape[0] == 1
    return 1 if fixed or (isinstance(resize, Fit) and spec.dtype != "string") else None


def _slots(outputs: Tensors, count: int) -> int:
    """How many boxes an answer of the contract has room for, for each picture."""
    shapes = _shapes(outputs, DETECTION_OUTPUTS, count)
    scores = shapes[OUTPUT_SCORES]
    fitting = {
        OUTPUT_BOXES: (*scores, 4),
        OUTPUT_SCORES: scores,
        OUTPUT_CLASSES: scores,
        OUTPUT_COUNT: (count,),
    }
    if shapes != fitting or len(scores) != 2:
        raise ServingError(f"the shapes of the model's answer do not fit each other: {shapes}")
    return scores[1]


def _shapes(outputs: Tensors, names: Sequence[str], count: int) -> dict[str, tuple[int, ...]]:
    """The shapes of an answer's outputs, each for as many pictures as were sent."""
    try:
        shapes = {name: outputs.shape(name) for name in names}
    except KeyError:
        missing = ", ".join(name for name in names if name not in outputs)
        raise ServingError(f"the model's answer lacks {missing}") from None
    for shape in shapes.values():
        if shape[:1] != (count,):
            raise ServingError(f"{counted(count, 'picture')} sent, and the answer's shapes are {shapes}")
    return shapes


def _whole(classes: Sequence[float]) -> list[int]:
    try:
        return [int(number) for number in classes]
    except (ValueError, OverflowError):  # of NaN, of infinity
        raise ServingError(f"the model's answer has classes that are no numbers: {classes}") from None
