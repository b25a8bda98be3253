"""The Input of Classify, Regress and MultiInference: tf.Examples -> the one string tensor that is fed."""

from __future__ import annotations

import numpy as np
from tensorflow_serving.apis import input_pb2

from sightline_serving.model_server.sessions import Array
from sightline_serving.model_server.status import invalid_argument


def serialize_examples(request_input: input_pb2.Input) -> Array:
    """Serialised tf.Examples, string [N]; a shared context is merged into each of them.

    Raises:
        StatusError: INVALID_ARGUMENT, there is no example.
    """
    kind = request_input.WhichOneof("kind")
    context = b""
    if kind == "example_list_with_context":
        # One message after the other is their merge; the example's own features win.
        context = request_input.example_list_with_context.context.SerializeToString()
        examples = request_input.example_list_with_context.examples
    else:
        examples = request_input.example_list.examples
    if not examples:
        raise invalid_argument("Input is empty.")
    serialized = np.empty(len(examples), np.object_)
    serialized[:] = [context + example.SerializeToString() for example in examples]
    return serialized
