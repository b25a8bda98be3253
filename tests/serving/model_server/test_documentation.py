"""The tables of docs/model-server.md against the code: what they say is there is, and nothing else is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

import pytest
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

from sightline_serving.model_server.grpc_services import model_methods, prediction_methods
from sightline_serving.model_server.metrics import Metrics
from sightline_serving.model_server.options import every_flag
from sightline_serving.model_server.wire import serving_config_pb2

Rows = list[list[str]]


@pytest.fixture(scope="module")
def tables(repository: Path) -> Mapping[str, Rows]:
    """The rows under each heading, as cells."""
    found: dict[str, Rows] = {}
    heading = ""
    for line in (repository / "docs" / "model-server.md").read_text().splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line.startswith("|"):
            found.setdefault(heading, []).append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def code(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def test_flags(tables: Mapping[str, Rows]) -> None:
    told = [code(row[0])[0] for row in tables["Flags"][2:]]
    assert told == [f"--{flag.name}" for flag in every_flag()]


@pytest.mark.parametrize("flag", every_flag(), ids=lambda flag: flag.name)
def test_what_each_flag_does_here(tables: Mapping[str, Rows], flag: Field[Any]) -> None:
    (row,) = (row for row in tables["Flags"] if row[0] == f"`--{flag.name}`")
    default = str(flag.default).lower() if isinstance(flag.default, bool) else repr(flag.default)
    assert row[1] == f"`{default}`"
    if flag.metadata["no_effect"]:
        assert row[2] == f"accepted, no effect: {flag.metadata['no_effect']}"
    else:
        assert row[2].startswith("ours: " if flag.metadata["ours"] else "same")


def test_metrics(tables: Mapping[str, Rows]) -> None:
    told: dict[str, list[str]] = {}
    for names, labels, _ in tables["Metrics"][2:]:
        if not labels and "…" in names:
            continue  # TensorFlow's own, which are not there
        for name in code(names):
            told[name] = code(labels)
    assert told == {metric.name: list(metric.labels) for metric in Metrics().every()}


def test_batching_parameters(tables: Mapping[str, Rows]) -> None:
    told = {name for row in tables["Batching parameters"] for name in code(row[0])}
    assert told == set(serving_config_pb2.BatchingParameters.DESCRIPTOR.fields_by_name) | {
        "batch_padding_policy"
    }
    (absent,) = (row for row in tables["Batching parameters"] if "batch_padding_policy" in row[0])
    assert absent[1].startswith("not there")


@pytest.mark.parametrize(
    ("service", "offered", "official"),
    [
        (
            "PredictionService",
            prediction_methods(None, as_content=False),  # type: ignore[arg-type]
            prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"],
        ),
        (
            "ModelService",
            model_methods(None),  # type: ignore[arg-type]
            model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
        ),
    ],
)
def test_services(
    tables: Mapping[str, Rows], service: str, offered: Mapping[str, Any], official: Any
) -> None:
    (row,) = (row for row in tables["Services and methods"] if row[0].startswith(f"`{service}`"))
    told = row[0].partition(": ")[2].split(", ")
    assert sorted(told) == sorted(offered) == sorted(official.methods_by_name)
    assert row[1] == "same"
