"""One loaded version of a model, and who may use it until when."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import model_pb2

from sightline_serving.model_server.sessions import Session
from sightline_serving.model_server.status import failed_precondition

DEFAULT_SIGNATURE: Final = "serving_default"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of a servable: its key, and what the SavedModel says of it.

    Whatever a request needs to know lies ready: a message is slow to be asked.
    """

    name: str
    definition: meta_graph_pb2.SignatureDef
    inputs: Mapping[str, str] = field(init=False)  # alias to tensor name, in the order of the aliases
    outputs: Mapping[str, str] = field(init=False)
    required: frozenset[str] = field(init=False)  # aliases of inputs without a default

    def __post_init__(self) -> None:
        for name, infos in (("inputs", self.definition.inputs), ("outputs", self.definition.outputs)):
            object.__setattr__(self, name, {alias: infos[alias].name for alias in sorted(infos)})
        object.__setattr__(self, "required", frozenset(self.inputs) - frozenset(self.definition.defaults))


class Servable:
    """A loaded version. Requests hold it (`with servable:`) so that it is unloaded only when idle."""

    def __init__(
        self,
        name: str,
        version: int,
        session: Session,
        signatures: Mapping[str, meta_graph_pb2.SignatureDef],
        *,
        runtime: str = "TF1",
    ) -> None:
        """Args:
        name: of the model.
        version: of the model.
        session: runs it.
        signatures: by key.
        runtime: what the metrics call that which runs it.
        """
        self.name = name
        self.version = version
        self.session = session
        self.signatures = signatures
        self.runtime = runtime
        self._signatures = {key: Signature(key, definition) for key, definition in signatures.items()}
        self._users = 0
        self._retired = False
        self._changed = threading.Condition(threading.Lock())

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.version}}}"

    def signature(self, name: str) -> Signature:
        """The signature asked for, or the default one for an empty name.

        Raises:
            StatusError: FAILED_PRECONDITION without such a signature.
        """
        name = name or DEFAULT_SIGNATURE
        found = self._signatures.get(name)
        if found is None:
            raise failed_precondition(f'Serving signature key "{name}" not found.')
        return found

    def model_spec(self, signature_name: str) -> model_pb2.ModelSpec:
        """What an answer says of who gave it."""
        spec = model_pb2.ModelSpec(name=self.name, signature_name=signature_name)
        spec.version.value = self.version
        return spec

    def acquire(self) -> bool:
        """Take hold of it; False if it has been retired meanwhile."""
        with self._changed:
            if self._retired:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        """Let go of it."""
        with self._changed:
            self._users -= 1
            if self._retired and not self._users:
                self._changed.notify_all()

    def retire(self) -> None:
        """Refuse new users, wait until the last one has let go, and unload."""
        with self._changed:
            self._retired = True
            self._changed.wait_for(lambda: self._users == 0)
        self.session.close()
