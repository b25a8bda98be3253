"""gRPC's own matters: sockets, TLS, limits, channel arguments, `tensor_content`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from support.certificates import self_signed
from support.model_servers import server_here
from support.serving_calls import TIMEOUT_S, Caller, predict_request
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from sightline_serving.model_server.addresses import AddressInUseError
from sightline_serving.model_server.grpc_server import parse_channel_arguments
from sightline_serving.model_server.status import StatusError


@pytest.fixture
def flags(models: Path) -> tuple[str, ...]:
    return ("--model_name=module", f"--model_base_path={models / 'module'}")


def test_a_unix_socket(flags: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with server_here(*flags, f"--grpc_socket_path={path}"):
        with Caller(f"unix:{path}") as caller:
            assert caller.outputs("module", x=[1.0])["y"].tolist() == [2.5]
        with (
            pytest.raises(AddressInUseError, match="it is in use"),
            server_here(*flags, f"--grpc_socket_path={path}"),
        ):
            pass
    with pytest.raises(AddressInUseError, match="no folder"), server_here(*flags, "--grpc_socket_path=/no/x"):
        pass
    stale = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(stale))
    with server_here(*flags, f"--grpc_socket_path={stale}"), Caller(f"unix:{stale}") as caller:
        assert caller.states("module") == {1: "AVAILABLE"}


def test_answers_in_tensor_content(flags: tuple[str, ...]) -> None:
    with (
        server_here(*flags, "--enable_serialization_as_tensor_content") as served,
        Caller(served.address) as caller,
    ):
        response = caller.predict(predict_request("module", x=[1.0, 2.0]))
        assert not response.outputs["y"].float_val
        assert np.frombuffer(response.outputs["y"].tensor_content, np.float32).tolist() == [2.5, 3.0]
        words = np.array([b"one", b"", b"x" * 300], object)
        echoed = caller.predict(predict_request("module", "echo", words=words)).outputs["words"]
        assert not echoed.string_val
        assert tf.io.parse_tensor(echoed.SerializeToString(), tf.string).numpy().tolist() == words.tolist()


def test_too_many_calls_at_once(flags: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    with server_here(*flags, "--grpc_max_threads=1") as served, Caller(served.address) as caller:
        endless = predict_request("module", "slow", turns=np.array([10**9], np.int32))
        held = caller.prediction.Predict.future(endless, timeout=5.0)
        refused = None
        while refused is None and not held.done():
            try:
                caller.predict(predict_request("module", x=[1.0]))
            except grpc.RpcError as fault:
                refused = fault
        refused = refused or held.exception()  # whichever of the two came second
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.details() == "Server Threadpool Exhausted"
    (told,) = (
        record.getMessage() for record in caplog.records if "--grpc_max_threads" in record.getMessage()
    )
    assert "as 1 are served" in told


def test_what_lasts_holds_up_nobody_else(flags: tuple[str, ...]) -> None:
    with (
        server_here(*flags, "--grpc_max_threads=8", "--enable_grpc_reflection") as served,
        Caller(served.address) as caller,
    ):
        asked = threading.Event()

        def questions() -> Iterator[reflection_pb2.ServerReflectionRequest]:
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            asked.wait()  # the caller thinks of another

        talk = reflection_pb2_grpc.ServerReflectionStub(caller.channel).ServerReflectionInfo(questions())
        assert next(talk).list_services_response.service
        endless = predict_request("module", "slow", turns=np.array([10**9], np.int32))
        held = caller.prediction.Predict.future(endless, timeout=TIMEOUT_S)
        for _ in range(20):
            assert caller.outputs("module", x=[1.0])["y"].tolist() == [2.5]
            assert caller.states("module") == {1: "AVAILABLE"}
        assert not held.done()
        held.cancel()
        asked.set()
        assert list(talk) == []


def test_a_large_request(flags: tuple[str, ...]) -> None:
    with server_here(*flags) as served, Caller(served.address) as caller:
        x = np.zeros(6_000_000, np.float32)  # 24 MB
        np.testing.assert_array_equal(caller.outputs("module", x=x)["y"], x + 2)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Key and certificate of `localhost`."""
    made = self_signed(tmp_path_factory.mktemp("tls"))
    return made.key.read_text(), made.cert.read_text()


def test_tls(flags: tuple[str, ...], certificate: tuple[str, str], tmp_path: Path) -> None:
    key, cert = certificate
    file = tmp_path / "ssl.config"

    def quoted(text: str) -> str:
        return '"' + text.replace("\n", "\\n") + '"'

    file.write_text(
        f"server_key: {quoted(key)} server_cert: {quoted(cert)} custom_ca: {quoted(cert)} client_verify: true"
    )
    with server_here(*flags, f"--ssl_config_file={file}") as served:
        trusted = grpc.ssl_channel_credentials(cert.encode(), key.encode(), cert.encode())
        with grpc.secure_channel(f"localhost:{served.port}", trusted) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            response = stub.Predict(predict_request("module", x=[1.0]), timeout=TIMEOUT_S)
            assert response.outputs["y"].float_val == [2.5]
        unknown = grpc.ssl_channel_credentials(cert.encode())
        with grpc.secure_channel(f"localhost:{served.port}", unknown) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Predict(predict_pb2.PredictRequest(), timeout=TIMEOUT_S)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_channel_arguments() -> None:
    assert parse_channel_arguments("grpc.max_connection_age_ms=2000,grpc.x=y,a=-1") == [
        ("grpc.max_connection_age_ms", 2000),
        ("grpc.x", "y"),
        ("a", -1),
    ]
    assert parse_channel_arguments("") == []
    with pytest.raises(StatusError, match="expected key=value, got 'nonsense'"):
        parse_channel_arguments("nonsense")


def test_sixteen_callers_at_once(flags: tuple[str, ...]) -> None:
    with server_here(*flags, "--grpc_max_threads=32") as served, Caller(served.address) as caller:
        wrong: list[object] = []

        def call(number: int) -> None:
            for turn in range(20):
                value = float(number * 100 + turn)
                got = caller.outputs("module", x=[value])["y"].tolist()
                if got != [value / 2 + 2]:
                    wrong.append((value, got))

        threads = [threading.Thread(target=call, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
