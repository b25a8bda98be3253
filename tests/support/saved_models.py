"""Small SavedModels of every kind, written where a test wants them.

`half plus two` (y = x / 2 + 2) is what the official server is tested with, and what its users know.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

PICTURE_SHAPE = (300, 300, 3)  # of the null model: 270,000 bytes
MATRIX_WIDTH = 4
CARD = b'{"labels": []}'  # a constant that a signature repeats for every row


def write_half_plus(folder: Path, plus: float = 2.0) -> Path:
    """A TF1 model: predict, classify and regress signatures, tf.Examples with `x` and `x2`.

    y = x / 2 + plus, y2 = x / 2 + plus + 1, y3 = x2 / 2 + plus + 1.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        half = v1.get_variable("a", initializer=0.5, use_resource=True)
        constant = v1.get_variable("b", initializer=plus, use_resource=True)
        examples = v1.placeholder(tf.string, [None], name="tf_example")
        features = {name: tf.io.FixedLenFeature([1], tf.float32, default_value=[0.0]) for name in ("x", "x2")}
        parsed = v1.io.parse_example(examples, features)
        x = tf.identity(parsed["x"], name="x")
        y = tf.add(half * x, constant, name="y")
        y2 = tf.add(half * x, constant + 1.0, name="y2")
        y3 = tf.add(half * parsed["x2"], constant + 1.0, name="y3")
        session.run(v1.global_variables_initializer())

        info = v1.saved_model.build_tensor_info
        predict = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        regress = "tensorflow/serving/regress"
        make = v1.saved_model.build_signature_def
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={
                "serving_default": predict,
                "classify_x_to_y": make(
                    {"inputs": info(examples)}, {"scores": info(y)}, "tensorflow/serving/classify"
                ),
                "regress_x_to_y": make({"inputs": info(examples)}, {"outputs": info(y)}, regress),
                "regress_x_to_y2": make({"inputs": info(examples)}, {"outputs": info(y2)}, regress),
                "regress_x2_to_y3": make({"inputs": info(examples)}, {"outputs": info(y3)}, regress),
            },
        )
        builder.save()
    return folder


def write_module(folder: Path) -> Path:
    """A TF2 module with many signatures, one for each thing that an answer may be."""
    import tensorflow as tf

    spec = tf.TensorSpec

    class Module(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            self.weights = tf.Variable(np.arange(MATRIX_WIDTH * 3, dtype=np.float32).reshape(MATRIX_WIDTH, 3))

        @tf.function(input_signature=[spec([None], tf.float32, "x")])
        def half_plus_two(self, x: Any) -> Any:
            return {"y": x / 2 + 2}

        @tf.function(input_signature=[spec([None, None], tf.float32, "rows")])
        def multiply(self, rows: Any) -> Any:
            return {"products": rows @ self.weights, "sums": tf.reduce_sum(rows, 1)}

        @tf.function(input_signature=[spec([None], tf.float32, "a"), spec([None], tf.int64, "b")])
        def add(self, a: Any, b: Any) -> Any:
            return {"sum": a + tf.cast(b, tf.float32), "b_again": b}

        @tf.function(input_signature=[spec([None], tf.string, "words")])
        def echo(self, words: Any) -> Any:
            return {"words": words, "words_bytes": words}

        @tf.function(input_signature=[spec([None], tf.string, "jpegs")])
        def decode(self, jpegs: Any) -> Any:
            means = tf.map_fn(
                lambda jpeg: tf.reduce_mean(tf.cast(tf.io.decode_jpeg(jpeg), tf.float32)),
                jpegs,
                fn_output_signature=tf.float32,
            )
            return {"means": means}

        @tf.function(input_signature=[spec([None], tf.float32, "x")])
        def fixed(self, x: Any) -> Any:
            return {"answer": tf.constant(42.0) + 0 * tf.reduce_sum(x)}

        @tf.function(input_signature=[spec([None, None], tf.float32, "rows")])
        def widths(self, rows: Any) -> Any:
            return {"widths": tf.fill([tf.shape(rows)[0]], tf.shape(rows)[1]), "firsts": rows[:, 0]}

        @tf.function(input_signature=[spec([None], tf.string, "query")])
        def card(self, query: Any) -> Any:
            return {"card": tf.fill([tf.shape(query)[0]], CARD)}

        @tf.function(input_signature=[spec([None], tf.int32, "turns")])
        def slow(self, turns: Any) -> Any:
            count = tf.constant(0)
            while count < turns[0]:
                count += 1
            return {"turns": turns + 0 * count}

    module = Module()
    signatures = {
        "serving_default": module.half_plus_two,
        **{
            name: getattr(module, name)
            for name in ("multiply", "add", "echo", "decode", "fixed", "widths", "card", "slow")
        },
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def write_null(folder: Path) -> Path:
    """Pictures in, the same pictures out: what serving itself costs."""
    import tensorflow as tf

    class Null(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, *PICTURE_SHAPE], tf.uint8, "images")])
        def identity(self, images: Any) -> Any:
            return {"images": tf.identity(images)}

    module = Null()
    tf.saved_model.save(module, str(folder), signatures=module.identity)
    return folder


def write_keras(folder: Path) -> Path:
    """A Keras model by its own `export`: one dense layer of ones."""
    import keras

    model = keras.Sequential([keras.Input((MATRIX_WIDTH,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.export(str(folder), verbose=False)
    return folder


def write_tflite(folder: Path, saved_model: Path) -> Path:
    """`model.tflite` of a SavedModel's default signature."""
    import tensorflow as tf

    folder.mkdir(parents=True, exist_ok=True)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=["serving_default"])
    (folder / "model.tflite").write_bytes(converter.convert())
    return folder


def write_warmup(version_folder: Path, *logs: Any) -> None:
    """PredictionLog records where a server looks for them."""
    import tensorflow as tf

    file = version_folder / "assets.extra" / "tf_serving_warmup_requests"
    file.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
