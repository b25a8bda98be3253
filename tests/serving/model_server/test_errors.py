"""Calls that fail whatever they ask for: bytes that are no message, models that only seem to be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.model_servers import server_here
from support.serving_calls import Caller, predict_request, refused

from sightline_serving.model_server.grpc_services import CUT, MESSAGE_LIMIT

X = np.array([1.0, 2.0, 5.0], np.float32)


@pytest.mark.parametrize("length", [MESSAGE_LIMIT - 100, MESSAGE_LIMIT, 8 * MESSAGE_LIMIT])
def test_a_long_text_is_cut(caller: Caller, length: int) -> None:
    prefix = 'Serving signature key "'
    name = "s" * (length - len(prefix) - len('" not found.'))
    whole = f'{prefix}{name}" not found.'
    assert len(whole) == length
    expected = whole if length <= MESSAGE_LIMIT else whole[:MESSAGE_LIMIT] + CUT
    assert refused(caller.prediction.Predict, predict_request("module", name, x=X)) == (
        "FAILED_PRECONDITION",
        expected,
    )


def test_bytes_that_are_no_message(caller: Caller) -> None:
    call: Any = caller.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    assert refused(call, b"\xff\xff\xff")[0] == "INTERNAL"
    unknown: Any = caller.channel.unary_unary("/tensorflow.serving.PredictionService/Nope")
    assert refused(unknown, b"")[0] == "UNIMPLEMENTED"


def test_variables_that_only_python_restores(tmp_path: Path) -> None:
    """Keras 3's wrappers beside the raw values: loaded, AVAILABLE, and no call succeeds."""
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    module = tf.Module()
    module.model = model
    module.call = tf.function(
        lambda rows: {"y": model(rows)}, input_signature=[tf.TensorSpec([None, 2], tf.float32, "rows")]
    )
    tf.saved_model.save(module, str(tmp_path / "m" / "1"), signatures=module.call)
    with (
        server_here("--model_name=m", f"--model_base_path={tmp_path / 'm'}") as served,
        Caller(served.address) as caller,
    ):
        assert caller.states("m") == {1: "AVAILABLE"}
        code, text = refused(
            caller.prediction.Predict, predict_request("m", rows=np.ones((1, 2), np.float32))
        )
    assert code == "FAILED_PRECONDITION"
    assert "Could not find variable" in text
