"""The files that flags name: protobuf text format -> messages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message
from tensorflow_serving.config import model_server_config_pb2

from sightline_serving.model_server.core import PLATFORM
from sightline_serving.model_server.options import Options
from sightline_serving.model_server.status import StatusError, invalid_argument, not_found
from sightline_serving.model_server.wire import serving_config_pb2

log = logging.getLogger(__name__)

DEFAULT_METRICS_PATH: Final = "/monitoring/prometheus/metrics"

_Message = TypeVar("_Message", bound=Message)


def read_text_proto(file: str, message: _Message) -> _Message:
    """The message that a text file holds.

    Raises:
        StatusError: NOT_FOUND without the file, INVALID_ARGUMENT with line, column and fault.
    """
    # Our own copies of messages are called by their official names.
    kind = f"tensorflow.serving.{message.DESCRIPTOR.name}"
    try:
        text = Path(file).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise not_found(f"{file}; No such file or directory") from None
    except (OSError, UnicodeDecodeError) as fault:
        raise invalid_argument(f"Cannot read {file}: {fault}") from None
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as fault:
        line, column = fault.GetLine() or 0, fault.GetColumn() or 0
        complaint = str(fault).removeprefix(f"{line}:{column} : ").rstrip(".")
        complaint = complaint.replace(message.DESCRIPTOR.full_name, kind)
        raise invalid_argument(
            f"Error parsing text-format {kind}: {line}:{column}: {complaint}. Invalid protobuf file: '{file}'"
        ) from None


def read_model_config(options: Options) -> model_server_config_pb2.ModelServerConfig:
    """The models to serve, from the config file or from the two flags for a single one.

    Raises:
        StatusError: there is neither, or the file is unsound.
    """
    config = model_server_config_pb2.ModelServerConfig()
    if options.model_config_file:
        return read_text_proto(options.model_config_file, config)
    if not options.model_base_path:
        raise invalid_argument(
            "Both server_options.model_base_path and server_options.model_config_file are empty! Give "
            "--model_base_path or --model_config_file."
        )
    config.model_config_list.config.add(
        name=options.model_name, base_path=options.model_base_path, model_platform=PLATFORM
    )
    return config


def read_metrics_path(file: str) -> str:
    """Where a MonitoringConfig file wants the metrics; empty for nowhere.

    Raises:
        StatusError: the file is missing or unsound.
    """
    if not file:
        return ""
    config = read_text_proto(file, serving_config_pb2.MonitoringConfig()).prometheus_config
    return (config.path or DEFAULT_METRICS_PATH) if config.enable else ""


class ConfigPoller:
    """Reads the model config file again and again, and puts it in force each time."""

    def __init__(
        self, options: Options, reload: Callable[[model_server_config_pb2.ModelServerConfig], None]
    ) -> None:
        self._options = options
        self._reload = reload
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="config", daemon=True)

    def start(self) -> None:
        """Begin, one interval from now."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stopped.wait(self._options.model_config_file_poll_wait_seconds):
            try:
                self._reload(read_model_config(self._options))
            except StatusError as fault:  # the configuration in force stays
                log.error("PollFilesystemAndReloadConfig failed to ReloadConfig: %s", fault)
