"""Models made once, and one server that has them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.model_servers import ServedHere, server_here
from support.saved_models import write_half_plus, write_keras, write_module, write_null, write_tflite
from support.serving_calls import Caller


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, version 1 of each; not to be written to."""
    folder = tmp_path_factory.mktemp("models")
    write_half_plus(folder / "half_plus_two" / "1")
    write_module(folder / "module" / "1")
    write_null(folder / "null" / "1")
    write_keras(folder / "keras" / "1")
    write_tflite(folder / "tflite" / "1", folder / "module" / "1")
    return folder


def model_list(models: Path, *names: str) -> str:
    """A model config file's text."""
    return "".join(
        f'config {{ name: "{name}" base_path: "{models / name}" model_platform: "tensorflow" }}\n'
        for name in names
    ).join(("model_config_list {\n", "}\n"))


@pytest.fixture(scope="session")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHere]:
    """Serves `half_plus_two`, `module`, `null` and `keras`, without batching."""
    config = tmp_path_factory.mktemp("config") / "models.config"
    config.write_text(model_list(models, "half_plus_two", "module", "null", "keras"))
    monitoring = config.with_name("monitoring.config")
    monitoring.write_text('prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }')
    flags = (
        f"--model_config_file={config}",
        f"--monitoring_config_file={monitoring}",
        "--enable_grpc_healthcheck_service",
        "--enable_grpc_reflection",
    )
    with server_here(*flags) as served:
        yield served


@pytest.fixture(scope="session")
def caller(server: ServedHere) -> Iterator[Caller]:
    """Of the server, by the official stubs."""
    with Caller(server.address) as made:
        yield made
