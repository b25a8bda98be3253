"""A version folder with `model.tflite` -> a servable, for `--prefer_tflite_model`."""

from __future__ import annotations

import os
import queue
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from sightline_serving.model_server.call_threads import Aside
from sightline_serving.model_server.runtime import tf
from sightline_serving.model_server.servable import DEFAULT_SIGNATURE, Servable
from sightline_serving.model_server.sessions import Array, type_name
from sightline_serving.model_server.status import invalid_argument, not_found

TFLITE_FILE: Final = "model.tflite"
_PREDICT_METHOD: Final = "tensorflow/serving/predict"


class TfliteSession:
    """A pool of interpreters of one model; each run takes one for itself."""

    def __init__(self, content: bytes, interpreters: int) -> None:
        """Raises:
        StatusError: it is not a TFLite model.
        """
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(interpreters):
            self._free.put(_interpreter(content))

    def signatures(self) -> dict[str, meta_graph_pb2.SignatureDef]:
        """The model's signatures; for a model without, one made of its tensors' names."""
        interpreter = self._free.get()
        try:
            inputs = {detail["name"]: detail for detail in interpreter.get_input_details()}
            outputs = {detail["name"]: detail for detail in interpreter.get_output_details()}
            named = interpreter._get_full_signature_list()
            if not named:
                return {
                    DEFAULT_SIGNATURE: _signature(
                        {_alias(name): detail for name, detail in inputs.items()},
                        {_alias(name): detail for name, detail in outputs.items()},
                    )
                }
            details = {detail["index"]: detail for detail in (*inputs.values(), *outputs.values())}
            return {
                key: _signature(
                    {alias: details[index] for alias, index in tensors["inputs"].items()},
                    {alias: details[index] for alias, index in tensors["outputs"].items()},
                )
                for key, tensors in named.items()
            }
        finally:
            self._free.put(interpreter)

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str], timeout: float | None) -> list[Array]:
        """As `Session.run`; the inputs are resized to what came."""
        del timeout  # an interpreter cannot be broken off
        with Aside():
            return self._run(feeds, fetches)

    def _run(self, feeds: Mapping[str, Array], fetches: Sequence[str]) -> list[Array]:
        interpreter = self._free.get()
        try:
            inputs = {detail["name"]: detail for detail in interpreter.get_input_details()}
            resized = False
            for index, (name, array) in enumerate(sorted(feeds.items())):
                _check(index, inputs[name], array)
                if tuple(inputs[name]["shape"]) != array.shape:
                    interpreter.resize_tensor_input(inputs[name]["index"], array.shape)
                    resized = True
            if resized:
                interpreter.allocate_tensors()
            for name, array in feeds.items():
                interpreter.set_tensor(inputs[name]["index"], array)
            interpreter.invoke()
            outputs = {detail["name"]: detail["index"] for detail in interpreter.get_output_details()}
            return [interpreter.get_tensor(outputs[name]) for name in fetches]
        except (ValueError, RuntimeError) as fault:
            raise invalid_argument(str(fault)) from None
        finally:
            self._free.put(interpreter)

    def close(self) -> None:
        while not self._free.empty():
            self._free.get()


def load_tflite_model(name: str, version: int, folder: Path, *, interpreters: int = 0) -> Servable:
    """The model of one version folder.

    Args:
        name: of the model.
        version: of the model.
        folder: holds `model.tflite`.
        interpreters: runs that may be in progress at once; one for each CPU if zero.

    Raises:
        StatusError: there is no such file, or it is not a TFLite model.
    """
    try:
        content = (folder / TFLITE_FILE).read_bytes()
    except OSError:
        raise not_found(f"{folder / TFLITE_FILE}; No such file or directory") from None
    session = TfliteSession(content, interpreters or os.cpu_count() or 1)
    return Servable(name, version, session, session.signatures(), runtime="TFLite")


def _interpreter(content: bytes) -> Any:
    try:
        with warnings.catch_warnings():
            # It announces its move to another package, which this one does not depend on yet.
            warnings.simplefilter("ignore")
            interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as fault:
        raise invalid_argument(f"Cannot build FlatBuffer model from buffer: {fault}") from None
    return interpreter


def _check(index: int, detail: Mapping[str, Any], array: Array) -> None:
    expected = detail["dtype"]
    if array.dtype != np.dtype(expected):
        raise invalid_argument(
            f"Expects arg[{index}] to be {type_name(expected)} but {type_name(array.dtype)} is provided"
        )


def _signature(
    inputs: Mapping[str, Mapping[str, Any]], outputs: Mapping[str, Mapping[str, Any]]
) -> meta_graph_pb2.SignatureDef:
    signature = meta_graph_pb2.SignatureDef(method_name=_PREDICT_METHOD)
    for infos, details in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for alias, detail in details.items():
            info = infos[alias]
            info.name = detail["name"]
            info.dtype = tf.as_dtype(detail["dtype"]).as_datatype_enum
            for size in detail["shape_signature"]:
                info.tensor_shape.dim.add(size=int(size))
    return signature


def _alias(tensor_name: str) -> str:
    return tensor_name.partition(":")[0]
