"""The heart that both transports ask: which models there are, and which version answers a request."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tensorflow_serving.apis import model_pb2
from tensorflow_serving.config import model_server_config_pb2 as config_pb2

from sightline_serving.model_server.manager import Loader, LoadPolicy, Manager
from sightline_serving.model_server.servable import Servable
from sightline_serving.model_server.source import FolderSource, Watched
from sightline_serving.model_server.status import (
    Code,
    StatusError,
    failed_precondition,
    invalid_argument,
)
from sightline_serving.model_server.versions import State, VersionBoard, VersionStatus

log = logging.getLogger(__name__)

PLATFORM = "tensorflow"


class Lease:
    """A servable held for one request: `with core.lease(spec) as servable`."""

    __slots__ = ("_servable",)

    def __init__(self, servable: Servable) -> None:
        self._servable = servable

    def __enter__(self) -> Servable:
        return self._servable

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._servable.release()


class ServerCore:
    """Models, versions and labels, as the configuration in force has them."""

    def __init__(
        self,
        loader: Loader,
        *,
        policy: LoadPolicy,
        poll_interval: float,
        allow_unavailable_labels: bool = False,
        force_unavailable_labels: bool = False,
    ) -> None:
        self.board = VersionBoard()
        self._manager = Manager(loader, self.board, policy)
        self._source = FolderSource(self._manager.aspire, poll_interval)
        self._allow_unavailable_labels = allow_unavailable_labels
        self._force_unavailable_labels = force_unavailable_labels
        self._config = config_pb2.ModelServerConfig()
        self._reloading = threading.Lock()
        self._labels: Mapping[str, Mapping[str, int]] = {}
        self._closing = threading.Event()

    # --- requests ---------------------------------------------------------------------------------

    def lease(self, spec: model_pb2.ModelSpec) -> Lease:
        """The servable that a request's model_spec means, held until the `with` block ends.

        Raises:
            StatusError: INVALID_ARGUMENT or NOT_FOUND, in the official words.
        """
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        version = None
        if choice == "version":
            version = self.meant(spec.name, spec.version.value)
        elif choice == "version_label":
            version = self._version_of_label(spec.name, spec.version_label)
        return Lease(self._manager.acquire(spec.name, version))

    def meant(self, name: str, version: int) -> int | None:
        """The version that a request's number means; None for whichever is the latest.

        The official server knows no such convention, but clients for OpenVINO's server send 0 for it. Where
        there is a version 0, it is meant.
        """
        return None if version == 0 and 0 not in self.board.of(name) else version

    def _version_of_label(self, name: str, label: str) -> int:
        version = self._labels.get(name, {}).get(label)
        if version is None:
            raise invalid_argument(f"Unrecognized servable version label: {label}")
        return version

    # --- configuration ----------------------------------------------------------------------------

    def reload(self, config: config_pb2.ModelServerConfig) -> None:
        """Put a configuration in force, and wait until the models that are new in it serve.

        Raises:
            StatusError: it is refused, and the old one stays; or a new model did not become available.
        """
        with self._reloading:
            first = self._config.WhichOneof("config") is None
            kind = config.WhichOneof("config")
            if not first and kind != "model_config_list":
                raise failed_precondition(
                    "Cannot transition to requested config. It is only legal to transition from one "
                    "ModelConfigList to another."
                )
            if kind is None:
                log.info("Taking no action for empty config.")
                return
            if kind == "custom_model_config":
                raise invalid_argument("ModelServer does not yet support custom model config.")
            models = {model.name: model for model in config.model_config_list.config}
            _validate(config, self._config)
            new = models.keys() - {model.name for model in self._config.model_config_list.config}
            labels = self._new_labels(models)
            unchanged = config == self._config
            self._config = config
            self._labels = labels
            mark = self.board.now
            # A polled file is put in force every second; only what is new in it is worth a line.
            level = logging.DEBUG if unchanged else logging.INFO
            log.log(level, "Adding/updating models: %s", ", ".join(sorted(models)) or "none")
            self._source.watch(
                {
                    name: Watched(name, Path(model.base_path), model.model_version_policy)
                    for name, model in models.items()
                }
            )
            missing = self.board.wait_until_settled(new, since=mark, cancelled=self._closing.is_set)
            if missing and not self._closing.is_set():
                raise _did_not_become_available(missing, "servable" if first else "model")
            log.log(level, "Finished adding/updating models")

    def _new_labels(self, models: Mapping[str, config_pb2.ModelConfig]) -> dict[str, dict[str, int]]:
        labels: dict[str, dict[str, int]] = {}
        for name, model in models.items():
            statuses = self.board.of(name)
            for label, version in model.version_labels.items():
                status = statuses.get(version)
                available = status is not None and status.state is State.AVAILABLE
                if not available and not self._may_label_unavailable(name, label, version):
                    raise failed_precondition(
                        f"Request to assign label to version {version} of model {name}, which is not "
                        "currently available for inference"
                    )
                labels.setdefault(name, {})[label] = version
        return labels

    def _may_label_unavailable(self, name: str, label: str, version: int) -> bool:
        if self._force_unavailable_labels:
            return True
        # A label in use must not be moved onto a version that cannot answer yet.
        return self._allow_unavailable_labels and self._labels.get(name, {}).get(label, version) == version

    # --- life -------------------------------------------------------------------------------------

    @property
    def closing(self) -> bool:
        """Whether it was told to stop."""
        return self._closing.is_set()

    def cancel_waiting(self) -> None:
        """End a `reload` that waits for models, because the server is to stop."""
        self._closing.set()

    def close(self) -> None:
        """Unload everything."""
        self._closing.set()
        self._source.close()
        self._manager.close()


def _validate(config: config_pb2.ModelServerConfig, old: config_pb2.ModelServerConfig) -> None:
    names: set[str] = set()
    for model in config.model_config_list.config:
        if model.name in names:
            raise invalid_argument(f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)
    for model in config.model_config_list.config:
        if not Path(model.base_path).is_absolute():
            raise invalid_argument(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()="
                f"{model.base_path}"
            )
    platforms = {model.name: _platform(model) for model in old.model_config_list.config}
    for model in config.model_config_list.config:
        platform = _platform(model)
        if platforms.get(model.name, platform) != platform:
            raise invalid_argument(
                f"Illegal to change a model's platform. For model {model.name} platform was "
                f"{platforms[model.name]} and new platform requested is {platform}"
            )
        if platform != PLATFORM:
            raise invalid_argument(f"Model {model.name} requests unsupported platform {platform}")


def _platform(model: config_pb2.ModelConfig) -> str:
    if model.model_type != config_pb2.MODEL_TYPE_UNSPECIFIED:
        if model.model_platform:
            raise invalid_argument(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                "ModelServerConfig::model_platform."
            )
        if model.model_type == config_pb2.TENSORFLOW:
            return PLATFORM
        raise invalid_argument(f"ModelServerConfig::model_type choice {model.model_type} not supported.")
    if not model.model_platform:
        raise invalid_argument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform."
        )
    return str(model.model_platform)


def _did_not_become_available(missing: Mapping[str, Mapping[int, VersionStatus]], noun: str) -> StatusError:
    listed = "".join(
        f"{{{{name: {name} version: {version}}}"
        + (f" due to error: {status.error}" if status.error else "")
        + "}, "
        for name, statuses in missing.items()
        for version, status in statuses.items()
    )
    count = sum(len(statuses) for statuses in missing.values())
    return StatusError(Code.UNKNOWN, f"{count} {noun}(s) did not become available: {{{listed}}}")
