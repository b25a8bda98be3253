from __future__ import annotations

import socket
from collections.abc import Iterator

import numpy as np
import pytest
from grpc import StatusCode
from support.fake_serving import FakeServing, FakeVersion, Refusal, fake_serving

from sightline.contract import DETECTION_OUTPUTS, ModelRef
from sightline.errors import (
    DeadlineError,
    ExhaustedError,
    ModelNotFoundError,
    ServingError,
    SignatureError,
    UnavailableError,
)
from sightline.tf_serving import ServingStub

DROIDS = ModelRef("droids")
PICTURES = {"images": np.zeros((2, 64, 64, 3), np.uint8)}


@pytest.fixture
def server() -> Iterator[FakeServing]:
    with fake_serving({"droids": {1: FakeVersion(), 3: FakeVersion(labels=("stable",))}}) as running:
        yield running


@pytest.fixture
def stub(server: FakeServing) -> Iterator[ServingStub]:
    with ServingStub(server.target, timeout=5) as connected:
        yield connected


def test_predict_says_what_was_found_and_which_version_answered(stub: ServingStub) -> None:
    answer = stub.predict(DROIDS, PICTURES, signature="serving_default", outputs=DETECTION_OUTPUTS)
    assert set(answer.outputs) == set(DETECTION_OUTPUTS)
    assert answer.outputs["detection_boxes"].shape == (2, 4, 4)
    assert answer.version == 3


@pytest.mark.parametrize(
    ("ref", "version"), [(ModelRef("droids", 1), 1), (ModelRef("droids", label="stable"), 3)]
)
def test_a_version_or_a_label_is_asked_for(stub: ServingStub, ref: ModelRef, version: int) -> None:
    assert stub.predict(ref, PICTURES, signature="serving_default").version == version


def test_metadata_gives_the_signatures(stub: ServingStub) -> None:
    signatures, version = stub.metadata(DROIDS)
    assert version == 3
    assert set(signatures) == {"serving_default", "card"}
    assert str(signatures["serving_default"].inputs["images"]) == "uint8 [N, 64, 64, 3]"


def test_status_lists_the_versions_newest_first(stub: ServingStub, server: FakeServing) -> None:
    server.models["droids"][3].state = "LOADING"
    found = stub.status(DROIDS)
    assert [(status.version, status.state, status.available) for status in found] == [
        (3, "LOADING", False),
        (1, "AVAILABLE", True),
    ]


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        (ModelRef("nobody"), r"Latest\(nobody\)"),
        (ModelRef("droids", 999), r"Specific\(droids, 999\)"),
        (ModelRef("droids", label="canary"), "canary"),
    ],
)
def test_what_is_not_there_is_named(stub: ServingStub, ref: ModelRef, words: str) -> None:
    with pytest.raises(ModelNotFoundError, match=words):
        stub.predict(ref, PICTURES, signature="serving_default")


def test_an_unknown_signature_is_named(stub: ServingStub) -> None:
    with pytest.raises(SignatureError, match='"nosig" not found'):
        stub.predict(DROIDS, PICTURES, signature="nosig")


def test_a_wrong_dtype_is_the_servers_error_in_its_own_words(stub: ServingStub) -> None:
    with pytest.raises(ServingError, match="to be uint8 but float32"):
        stub.predict(DROIDS, {"images": np.zeros((1, 2, 2, 3), np.float32)}, signature="serving_default")


def test_nobody_listening() -> None:
    with socket.socket() as held:  # bound and not listening: refused, and nobody else can take it
        held.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{held.getsockname()[1]}"
        with ServingStub(target, timeout=2) as stub, pytest.raises(UnavailableError, match=target):
            stub.status(DROIDS)


def test_a_slow_answer_is_a_deadline(stub: ServingStub, server: FakeServing) -> None:
    server.behaviour.delay = 30
    with pytest.raises(DeadlineError, match="did not answer in time"):
        stub.predict(DROIDS, PICTURES, signature="serving_default", timeout=0.2)


@pytest.mark.parametrize("side", [8, 400, 1280])
@pytest.mark.parametrize(
    "code", [StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE, StatusCode.CANCELLED]
)
def test_a_server_that_is_busy_or_leaves_is_asked_again(
    stub: ServingStub, server: FakeServing, side: int, code: StatusCode
) -> None:
    server.behaviour.refusals, server.behaviour.refused_as = 2, code
    pictures = {"images": np.zeros((1, side, side, 3), np.uint8)}  # to 4.9 MB; gRPC by itself retries 256 KiB
    assert stub.predict(DROIDS, pictures, signature="serving_default").version == 3
    assert server.behaviour.refusals == 0


def test_a_server_that_stays_busy_is_an_error_that_passes(stub: ServingStub, server: FakeServing) -> None:
    server.behaviour.refusals = 1000
    with pytest.raises(ExhaustedError, match=r"Threadpool .*--grpc_max_threads") as caught:
        stub.predict(DROIDS, PICTURES, signature="serving_default")
    assert caught.value.retryable


@pytest.mark.parametrize("code", [code for code in StatusCode if code is not StatusCode.OK])
def test_every_code_comes_out_as_one_of_our_errors(
    stub: ServingStub, server: FakeServing, code: StatusCode
) -> None:
    server.behaviour.refusal = Refusal(code, "the server's words")
    with pytest.raises(ServingError if code is not StatusCode.NOT_FOUND else ModelNotFoundError):
        stub.status(DROIDS)


def test_a_request_larger_than_grpcs_own_limit_passes(stub: ServingStub) -> None:
    frames = {"images": np.zeros((16, 400, 400, 3), np.uint8)}  # 7.7 MB; the default limit is 4
    assert len(stub.predict(DROIDS, frames, signature="serving_default").outputs["num_detections"]) == 16


def test_an_address_of_the_web_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="host:port"):
        ServingStub("http://127.0.0.1:8500")
