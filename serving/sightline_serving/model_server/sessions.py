"""What runs a model: named tensors in, named tensors out. The seam between protocol and TensorFlow."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.client import pywrap_tf_session as tf_session

from sightline_serving.model_server.call_threads import Aside
from sightline_serving.model_server.runtime import tf
from sightline_serving.model_server.status import Code, StatusError, invalid_argument, not_found

Array = npt.NDArray[Any]

QUICK_S: Final = 0.001  # seconds; a run that takes less is not worth the hop to TensorFlow's threads
TINY_S: Final = 0.0002  # seconds; less is not worth giving up the turn
FORGETTING: Final = 1.2  # by which the usual time grows at each run that takes longer
SLOW_S: Final = 0.02  # seconds; others must not wait so long for a turn
FADING: Final = 0.99  # by which a slow run weighs less at each one after it
PATIENCE: Final = 10  # times the longest run so far that a caller must be ready to wait for one without it


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


@dataclass(slots=True)
class _Times:
    """How long the runs of one combination of outputs took, in seconds."""

    usual: float = math.inf  # the shortest of late; on a busy machine any run may be held up now and then
    longest: float = 0.0
    longest_of_late: float = 0.0

    def add(self, seconds: float) -> None:
        """One more run. Two at once may both write; either answer will do."""
        self.usual = min(seconds, self.usual * FORGETTING)
        self.longest = max(self.longest, seconds)
        self.longest_of_late = max(self.longest_of_late * FADING, seconds)

    @property
    def are_tiny(self) -> bool:
        """Whether a call may keep its turn meanwhile."""
        return self.usual < TINY_S and self.longest_of_late < SLOW_S

    def are_short_beside(self, timeout: float | None) -> bool:
        """Whether the caller's own thread may run it: only TensorFlow's can be broken off at a deadline.

        Large models gain by the hop: so many callers' threads at work at once, each with activations of its
        own, wash one another's out of the caches, which cost the detector 12 % at sixteen callers.
        """
        return self.usual < QUICK_S and (timeout is None or self.longest * PATIENCE < timeout)


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
        self._times: dict[tuple[str, ...], _Times] = {}

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str], timeout: float | None) -> list[Array]:
        times = self._times.setdefault(tuple(fetches), _Times())
        began = time.perf_counter()
        try:
            if not times.are_short_beside(timeout):
                with Aside():
                    return self._run_in_pool(feeds, fetches, timeout)
            if times.are_tiny:
                return self._run(_IN_THIS_THREAD, feeds, fetches)
            with Aside():
                return self._run(_IN_THIS_THREAD, feeds, fetches)
        except tf.errors.OpError as fault:
            raise from_tensorflow(fault) from None
        finally:
            times.add(time.perf_counter() - began)

    def _run_in_pool(
        self, feeds: Mapping[str, Array], fetches: Sequence[str], timeout: float | None
    ) -> list[Array]:
        if timeout is None:
            return self._run(None, feeds, fetches)
        options = tf_session.TF_NewBufferFromString(_run_options(timeout))
        try:
            return self._run(options, feeds, fetches)
        finally:
            tf_session.TF_DeleteBuffer(options)

    def _run(self, options: Any, feeds: Mapping[str, Array], fetches: Sequence[str]) -> list[Array]:
        results: list[Array] = tf_session.TF_SessionRun_wrapper(
            self._session._session,
            options,
            {self._output(name, _to_feed): array for name, array in feeds.items()},
            [self._output(name, _to_fetch) for name in fetches],
            [],
            None,
        )
        return results

    def _output(self, name: str, missing: Callable[[Any, str], StatusError]) -> Any:
        """The C API's handle of a tensor; `missing` words the error if the graph has no such one."""
        found = self._outputs.get(name)
        if found is None:
            graph = self._session.graph
            try:
                # A name without a number means the operation's first output.
                found = graph.get_tensor_by_name(name if ":" in name else f"{name}:0")._as_tf_output()
            except (KeyError, ValueError):
                raise missing(graph, name) from None
            self._outputs[name] = found
        return found

    def close(self) -> None:
        self._outputs.clear()
        self._session.close()


def _to_feed(_: Any, name: str) -> StatusError:
    return not_found(f"FeedInputs: unable to find feed output {name}")


def _to_fetch(graph: Any, name: str) -> StatusError:
    node = name.partition(":")[0]
    try:
        outputs = len(graph.get_operation_by_name(node).outputs)
    except (KeyError, ValueError):
        return not_found(f"FetchOutputs node {name}: not found")
    if outputs:
        return invalid_argument(f"FetchOutputs {name}: output index too large, must be < {outputs}")
    return invalid_argument(
        f"Tried to fetch data for '{name}', which produces no output.  To run to a node but not fetch any "
        f"data, pass '{name}' as an argument to the 'target_node_names' argument of the Session::Run API."
    )


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
