"""Batching as a caller of the whole server meets it."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.model_servers import ServedHere, server_here
from support.saved_models import CARD
from support.serving_calls import Caller, predict_request, refused, rest

import sightline_serving

ROWS = 4  # of a full batch
# A batch waits a minute for company, so that only a full one is run within a test's patience.
PATIENT = f"max_batch_size {{ value: {ROWS} }} batch_timeout_micros {{ value: 60000000 }}"
CONFIG = Path(sightline_serving.__file__).parent / "config"  # what the images hold
QUICK = f"max_batch_size {{ value: {ROWS} }} allowed_batch_sizes: 2 allowed_batch_sizes: {ROWS}"


def flags(models: Path, parameters: str, folder: Path) -> tuple[str, ...]:
    file = folder / "batching.config"
    file.write_text(parameters)
    return (
        "--model_name=module",
        f"--model_base_path={models / 'module'}",
        "--enable_batching",
        f"--batching_parameters_file={file}",
        "--grpc_max_threads=16",
    )


@pytest.fixture(scope="module")
def batching(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHere]:
    """A server that does not wait for company, and pads to two or four rows."""
    with server_here(*flags(models, QUICK, tmp_path_factory.mktemp("batching"))) as served:
        yield served


@pytest.fixture(scope="module")
def patient(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """Of a server that runs a batch only when it is full."""
    parameters = tmp_path_factory.mktemp("patient")
    with server_here(*flags(models, PATIENT, parameters)) as served, Caller(served.address) as made:
        yield made


@pytest.fixture
def caller(batching: ServedHere) -> Iterator[Caller]:
    with Caller(batching.address) as made:
        yield made


def grey_jpeg(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (value, value, value)).save(file, "JPEG")
    return file.getvalue()


# Signature, input, output, four rows of one and of the other.
JOINED = [
    ("serving_default", "x", "y", np.float32([1, 2, 5, 6]), [2.5, 3.0, 4.5, 5.0]),
    ("echo", "words", "words", np.array([b"a", b"", b"c", b"d"], object), [b"a", b"", b"c", b"d"]),
    (
        "decode",
        "jpegs",
        "means",
        np.array([grey_jpeg(value) for value in (0, 60, 120, 180)], object),
        [0.0, 60.0, 120.0, 180.0],
    ),
    ("card", "query", "card", np.array([b""] * ROWS, object), [CARD] * ROWS),
]


@pytest.mark.parametrize("joined", JOINED, ids=[row[0] for row in JOINED])
def test_requests_are_joined_on_every_signature(patient: Caller, joined: Any) -> None:
    """Four requests of one row each come back, which they only do from a batch of four."""
    signature, alias, output, rows, answers = joined

    def ask(row: int) -> Any:
        return patient.outputs("module", signature, **{alias: rows[row : row + 1]})[output].tolist()

    with ThreadPoolExecutor(ROWS) as callers:
        assert list(callers.map(ask, range(ROWS))) == [[answer] for answer in answers]


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (
            predict_request("module", x=np.zeros(ROWS + 1, np.float32)),
            "INVALID_ARGUMENT",
            f"Task size {ROWS + 1} is larger than maximum input batch size {ROWS}",
        ),
        (
            predict_request("module", x=np.float32(1)),
            "INVALID_ARGUMENT",
            "Batching Run() input tensors must have at least one dimension",
        ),
        (
            predict_request("module", "__saved_model_init_op"),
            "INVALID_ARGUMENT",
            "Batching Run() must have at least one input tensor",
        ),
        (
            predict_request("module", "fixed", x=[1.0]),
            "FAILED_PRECONDITION",
            "Batched output tensor has 0 dimensions",
        ),
    ],
    ids=["too many rows", "scalar", "no inputs", "scalar output"],
)
def test_refusals(caller: Caller, request_: Any, code: str, text: str) -> None:
    assert refused(caller.prediction.Predict, request_) == (code, text)


def test_one_bad_picture_fails_alone(caller: Caller) -> None:
    calls = [
        caller.prediction.Predict.future(predict_request("module", "decode", jpegs=np.array([raw], object)))
        for raw in (b"no", grey_jpeg(255))
    ]
    assert calls[0].exception().details().startswith("Unknown image file format.")
    assert calls[1].result().outputs["means"].float_val == [255.0]


def test_a_card_is_answered_alone_too(caller: Caller) -> None:
    assert caller.outputs("module", "card", query=np.array([b""], object))["card"].tolist() == [CARD]


def test_rest(batching: ServedHere) -> None:
    assert rest(f"{batching.url}/v1/models/module:predict", {"inputs": 1.0}).json == {
        "error": "Batching Run() input tensors must have at least one dimension"
    }
    assert rest(f"{batching.url}/v1/models/module:predict", {"instances": [1.0, 2.0, 5.0]}).json == {
        "predictions": [2.5, 3.0, 4.5]
    }


def test_batching_as_each_model_says(models: Path, tmp_path: Path) -> None:
    version = Path(shutil.copytree(models / "module" / "1", tmp_path / "m" / "1"))
    (version / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")
    per_model = (
        "--model_name=m",
        f"--model_base_path={version.parent}",
        "--enable_batching",
        "--enable_per_model_batching_parameters",
    )
    with server_here(*per_model) as served, Caller(served.address) as caller:
        big = caller.prediction.Predict.future(predict_request("m", x=np.zeros(3, np.float32)))
        assert big.exception().details() == "Task size 3 is larger than maximum input batch size 2"


def test_the_file_for_cpus_runs_each_picture_alone(models: Path, tmp_path: Path) -> None:
    """A request of many comes back whole and in order, though each of its rows was a batch of its own."""
    monitoring = f"--monitoring_config_file={CONFIG / 'monitoring.config'}"
    shipped = flags(models, (CONFIG / "batching.config").read_text(), tmp_path)
    with server_here(*shipped, monitoring) as served, Caller(served.address) as caller:
        rows = np.arange(32, dtype=np.float32)
        assert caller.outputs("module", x=rows)["y"].tolist() == [2 + row / 2 for row in rows]
        text = rest(f"{served.url}/monitoring/prometheus/metrics").text
        sizes = dict(re.findall(r"^(\S+:processed_batch_size_(?:sum|count))\S* (\S+)$", text, re.MULTILINE))
        assert {float(value) for value in sizes.values()} == {32.0}
        assert len(sizes) == 2
        too_many = predict_request("module", x=np.zeros(33, np.float32))
        assert refused(caller.prediction.Predict, too_many) == (
            "INVALID_ARGUMENT",
            "Task size 33 is larger than maximum input batch size 32",
        )
