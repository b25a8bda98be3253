"""Real SavedModels, each with one of the faults that exports are known for.

The network, its random weights and its golden boxes are the same in all; what differs is how it was saved.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from support.exported import NAME, SIZE, random_network

from sightline.contract import (
    ASSETS_EXTRA,
    GOLDEN_FOLDER,
    INPUT_IMAGES,
    INPUT_QUERY,
    OUTPUT_BOXES,
    OUTPUT_CARD,
    OUTPUT_CLASSES,
    OUTPUT_COUNT,
    SIGNATURE_CARD,
    SIGNATURE_ENCODED,
    SIGNATURE_PIXELS,
    WARMUP_FILE,
    ModelCard,
)
from sightline.wire import serving_pb2 as wire

Outputs = dict[str, Any]
PICTURES: Final = 3  # golden ones


@dataclass(frozen=True)
class Saved:
    """How a detector is saved; the defaults are right."""

    batch: int | None = None  # of the pixels signature
    dtype: str = "uint8"  # of the pixels signature
    before: Callable[[Any], Any] = lambda pixels: pixels  # of the network: pixels -> pixels
    after: Callable[[Outputs], Outputs] = lambda outputs: outputs
    keras_variables: bool = False  # track Keras' wrappers too
    exif: bool = True
    card: Callable[[dict[str, Any]], str] = json.dumps
    constant_card: bool = False  # one string, however many are asked for
    without: tuple[str, ...] = ()  # signatures left out


def rewrite_warmup(path: Path, change: Callable[[wire.PredictRequest], object]) -> None:
    """Hand each record's request to `change`, which may alter it; it stays unless the answer is False."""
    import tensorflow as tf

    kept = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = wire.PredictionLog.FromString(record)
        if change(log.predict_log.request) is not False:
            kept.append(log.SerializeToString())
    with tf.io.TFRecordWriter(str(path)) as writer:
        for data in kept:
            writer.write(data)


def _swapped(pixels: Any) -> Any:
    return pixels[..., ::-1]


def _darkened(pixels: Any) -> Any:
    import tensorflow as tf

    return tf.cast(pixels, tf.float32) / 255.0


def _brightened(pixels: Any) -> Any:
    import tensorflow as tf

    return tf.cast(pixels, tf.float32) * 255.0


def _scalar_count(outputs: Outputs) -> Outputs:
    import tensorflow as tf

    return outputs | {OUTPUT_COUNT: tf.reduce_max(outputs[OUTPUT_COUNT])}


def _first_picture_only(outputs: Outputs) -> Outputs:
    return {name: values[0] for name, values in outputs.items()}


def _in_pixels(outputs: Outputs) -> Outputs:
    return outputs | {OUTPUT_BOXES: outputs[OUTPUT_BOXES] * float(SIZE)}


def _xy(outputs: Outputs) -> Outputs:
    import tensorflow as tf

    return outputs | {OUTPUT_BOXES: tf.gather(outputs[OUTPUT_BOXES], [1, 0, 3, 2], axis=-1)}


def _classes_from_zero(outputs: Outputs) -> Outputs:
    import tensorflow as tf

    return outputs | {OUTPUT_CLASSES: tf.maximum(outputs[OUTPUT_CLASSES] - 1.0, 0.0)}


def _rows_lost(outputs: Outputs) -> Outputs:
    """Every picture of a batch gets the boxes of the first: right alone, wrong together."""
    import tensorflow as tf

    return {name: tf.repeat(values[:1], tf.shape(values)[0], 0) for name, values in outputs.items()}


def _with(**changes: Any) -> Callable[[dict[str, Any]], str]:
    return lambda plain: json.dumps(plain | changes)


FAULTS: Final[Mapping[str, Saved]] = {
    "good": Saved(),
    "batch_fixed": Saved(batch=1),
    "batch_rows_lost": Saved(after=_rows_lost),
    "bgr": Saved(before=_swapped),
    "darkened": Saved(before=_darkened),
    "brightened": Saved(before=_brightened),
    "float_input_to_one": Saved(dtype="float32", before=_brightened),
    "count_scalar": Saved(after=_scalar_count),
    "outputs_squeezed": Saved(after=_first_picture_only),
    "boxes_in_pixels": Saved(after=_in_pixels),
    "boxes_xy": Saved(after=_xy),
    "classes_from_zero": Saved(after=_classes_from_zero),
    "keras_variables": Saved(keras_variables=True),
    "no_exif": Saved(exif=False),
    "no_card": Saved(without=(SIGNATURE_CARD,)),
    "no_encoded": Saved(without=(SIGNATURE_ENCODED,)),
    "card_not_json": Saved(card=lambda plain: "{'name': 'droids'}"),
    "card_lacks_a_class": Saved(card=_with(labels={"1": "BB-8"}, thresholds={"1": 0.5})),
    "card_threshold": Saved(card=_with(thresholds={"1": 50, "2": 0.5})),
    "card_size": Saved(card=_with(input_height=300)),
    "card_constant": Saved(constant_card=True),
}


class Exports:
    """Makes versions on demand, each once.

    Args:
        folder: `MODELS`; a fault is a model there, `<fault>/1`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def model(self, fault: str) -> Path:
        """`MODELS/<fault>`, with version 1."""
        base = self.folder / fault
        if not base.is_dir():
            self._save(base / "1", FAULTS[fault])
        return base

    def copy(self, name: str) -> Path:
        """A good model of its own under another name, to be broken by hand."""
        base = self.folder / name
        if base.exists():
            raise ValueError(f"{name} is there already")
        shutil.copytree(self.model("good"), base)
        return base

    @cached_property
    def pictures(self) -> Any:
        """uint8 [PICTURES, SIZE, SIZE, 3]: drawn scenes."""
        from sightline.geometry import Stretch
        from sightline_training.synthetic.dataset import draw_picture

        scenes = (draw_picture(7, number)[0] for number in range(PICTURES))
        return np.stack([Stretch(SIZE, SIZE).apply(scene) for scene in scenes])

    @cached_property
    def _detector(self) -> Any:
        from sightline_training.detector import Detector

        return Detector(*random_network())

    @cached_property
    def _golden(self) -> Outputs:
        found: Outputs = self._detector(self.pictures)
        return found

    def _save(self, folder: Path, saved: Saved) -> None:
        import tensorflow as tf

        from sightline_training.golden import write_golden
        from sightline_training.warmup import write_warmup

        module = tf.Module()
        module.raw_variables = [variable.value for variable in self._detector.model.variables]
        if saved.keras_variables:
            del module.raw_variables
            module.wrapped_variables = self._detector.model.variables
        tf.saved_model.save(module, str(folder), signatures=self._signatures(saved))
        extra = folder / ASSETS_EXTRA
        extra.mkdir()
        write_warmup(extra / WARMUP_FILE, NAME, self.pictures.astype(saved.dtype))
        if saved.without:
            rewrite_warmup(
                extra / WARMUP_FILE, lambda one: one.model_spec.signature_name not in saved.without
            )
        write_golden(extra / GOLDEN_FOLDER, self.pictures, self._golden)

    def _signatures(self, saved: Saved) -> dict[str, Any]:
        import tensorflow as tf

        from sightline_training.encoded import decode_batch

        card = ModelCard(NAME, {1: "BB-8", 2: "R2-D2"}, SIZE, SIZE, {1: 0.5, 2: 0.5})
        text = saved.card(card.to_dict())

        def detect(pixels: Any) -> Outputs:
            return saved.after(self._detector.detect(saved.before(pixels)))

        def from_encoded(images: Any) -> Outputs:
            if saved.exif:
                return detect(decode_batch(images, SIZE, SIZE))

            def one(data: Any) -> Any:
                stored = tf.io.decode_image(data, channels=3, expand_animations=False)
                return tf.image.resize(stored, (SIZE, SIZE))

            spec = tf.TensorSpec((SIZE, SIZE, 3), tf.float32)
            return detect(tf.map_fn(one, images, fn_output_signature=spec))

        def from_query(query: Any) -> Outputs:
            several = tf.fill(tf.shape(query), text)
            return {OUTPUT_CARD: tf.constant([text]) if saved.constant_card else several}

        pixels = tf.TensorSpec([saved.batch, SIZE, SIZE, 3], saved.dtype, name=INPUT_IMAGES)
        strings = tf.TensorSpec([None], tf.string, name=INPUT_IMAGES)
        query = tf.TensorSpec([None], tf.string, name=INPUT_QUERY)
        traced = {
            SIGNATURE_PIXELS: (detect, pixels),
            SIGNATURE_ENCODED: (from_encoded, strings),
            SIGNATURE_CARD: (from_query, query),
        }
        return {
            name: tf.function(function, input_signature=[spec]).get_concrete_function()
            for name, (function, spec) in traced.items()
            if name not in saved.without
        }
