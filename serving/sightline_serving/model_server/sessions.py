"""What runs a model: named tensors in, named tensors out. The seam between protocol and TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.client import pywrap_tf_session as tf_session

from sightline_serving.model_server.runtime import tf
from sightline_serving.model_server.status import Code, StatusError, not_found

Array = npt.NDArray[Any]

PATIENCE: Final = 10  # a run that took a tenth of the time left is not worth a thread that could end it


class Session(Protocol):
    """Runs tensors through one loaded model. Safe to call from several threads."""

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str], timeout: float | None) -> list[Array]:
        """The fetched tensors, in the order of `fetches`.

        Args:
            feeds: tensor name (`serving_default_images:0`) to array; strings as dtype object of bytes.
            fetches: tensor names.
            timeout: seconds that the caller will wait, or None.

        Raises:
            StatusError: as the runtime reports it.
        """

    def close(self) -> None:
        """Give everything back. No run may be in progress or follow."""


class GraphSession:
    """A TensorFlow session over a loaded graph, run through the C API.

    `Session.run` spends a millisecond of Python on every call. The wrapped C call below it needs two dozen
    microseconds, takes a timeout, and words its errors as the C++ server's session does.
    """

    def __init__(self, session: Any) -> None:
        """Args:
        session: a `tf.compat.v1.Session` whose variables are restored.
        """
        self._session = session
        self._outputs: dict[str, Any] = {}
        self._longest: dict[tuple[str, ...], float] = {}

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str], timeout: float | None) -> list[Array]:
        key = tuple(fetches)
        longest = self._longest.get(key)
        # TensorFlow can break off a run only if it runs in a thread of its own, which costs more than a small
        # model does. So a model that was always far quicker than the caller's patience runs right here.
        at_leisure = timeout is None or (longest is not None and longest * PATIENCE < timeout)
        began = time.perf_counter()
        try:
            if at_leisure:
                return self._run(_IN_THIS_THREAD, feeds, fetches)
            options = tf_session.TF_NewBufferFromString(_run_options(timeout or 0.0))
            try:
                return self._run(options, feeds, fetches)
            finally:
                tf_session.TF_DeleteBuffer(options)
        except tf.errors.OpError as fault:
            raise from_tensorflow(fault) from None
        finally:
            self._longest[key] = max(longest or 0.0, time.perf_counter() - began)

    def _run(self, options: Any, feeds: Mapping[str, Array], fetches: Sequence[str]) -> list[Array]:
        results: list[Array] = tf_session.TF_SessionRun_wrapper(
            self._session._session,
            options,
            {self._output(name): array for name, array in feeds.items()},
            [self._output(name) for name in fetches],
            [],
            None,
        )
        return results

    def _output(self, name: str) -> Any:
        """The C API's handle of a tensor."""
        found = self._outputs.get(name)
        if found is None:
            try:
                found = self._session.graph.get_tensor_by_name(name)._as_tf_output()
            except (KeyError, ValueError) as fault:
                raise not_found(f"FeedInputs: unable to find feed output {name}") from fault
            self._outputs[name] = found
        return found

    def close(self) -> None:
        self._outputs.clear()
        self._session.close()


def _run_options(timeout: float) -> bytes:
    milliseconds = max(1, int(timeout * 1e3))
    return bytes(config_pb2.RunOptions(timeout_in_ms=milliseconds).SerializeToString())


_IN_THIS_THREAD: Final = tf_session.TF_NewBufferFromString(
    config_pb2.RunOptions(inter_op_thread_pool=-1).SerializeToString()
)


def type_name(dtype: npt.DTypeLike) -> str:
    """The name that TensorFlow's C++ gives a numpy type: `float`, `uint8`, `string`."""
    name: str = tf.as_dtype(np.dtype(dtype) if np.dtype(dtype) != np.object_ else tf.string).name
    return {"float32": "float", "float64": "double", "float16": "half"}.get(name, name)


def from_tensorflow(fault: Any) -> StatusError:
    """A TensorFlow error as the status that the C++ server would have passed on."""
    return StatusError(Code(fault.error_code), fault.message)
