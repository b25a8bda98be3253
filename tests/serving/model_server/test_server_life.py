"""The real command: how it starts, refuses to start, and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path

import grpc
import numpy as np
import pytest
from support.model_servers import STOP_S, free_ports, running_server, server_process
from support.serving_calls import Caller, predict_request, rest
from support.threads import signal_another_thread

FAILED = 255
TURNS = 400_000  # of a loop in the graph: one or two seconds
COMMAND = (sys.executable, "-m", "sightline_serving.model_server")


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *flags], capture_output=True, text=True, timeout=120, check=False)


def test_version_and_help_need_no_tensorflow() -> None:
    began = time.process_time()
    told = run("--version")
    assert told.returncode == 0
    assert f"TensorFlow Library: {metadata.version('tensorflow')}" in told.stdout
    assert f"TensorFlow ModelServer: sightline {metadata.version('sightline-serving')}" in told.stdout
    helped = run("--help")
    assert helped.returncode == 0
    assert "--rest_api_port=0" in helped.stdout
    assert "Accepted, no effect:" in helped.stdout
    assert began <= time.process_time()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--no_such_flag=1"], "unknown argument: --no_such_flag=1"),
        (["--port=many"], "--port=many: expected a number"),
        (["stray"], "unknown argument: stray"),
    ],
)
def test_wrong_flags(flags: list[str], message: str) -> None:
    ended = run(*flags)
    assert ended.returncode == FAILED
    assert message in ended.stderr


@pytest.mark.slow
def test_sigterm_lets_a_call_end(models: Path) -> None:
    # Long enough to be still running when the signal comes, on any machine.
    flags = (f"--model_base_path={models / 'module'}", "--model_name=module", "--shutdown_grace_seconds=25")
    with running_server(*flags) as server, Caller(server.address) as caller:
        request = predict_request("module", "slow", turns=np.array([TURNS], np.int32))
        body = {"signature_name": "slow", "instances": [TURNS]}
        answers: list[object] = []
        threads = [
            threading.Thread(target=lambda: answers.append(caller.predict(request))),
            threading.Thread(
                target=lambda: answers.append(rest(f"{server.url}/v1/models/module:predict", body).json)
            ),
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        assert server.stop(signal.SIGTERM) == 0
        for thread in threads:
            thread.join(STOP_S)
        assert len(answers) == len(threads)
        assert {"predictions": [TURNS]} in answers
        assert "Stopped" in server.output


@pytest.mark.slow
def test_sigterm_ends_a_call_that_takes_too_long(models: Path) -> None:
    flags = (f"--model_base_path={models / 'module'}", "--model_name=module", "--shutdown_grace_seconds=1")
    with running_server(*flags) as server, Caller(server.address) as caller:
        request = predict_request("module", "slow", turns=np.array([100_000_000], np.int32))
        faults: list[grpc.RpcError] = []

        def call() -> None:
            try:
                caller.predict(request)
            except grpc.RpcError as fault:
                faults.append(fault)

        thread = threading.Thread(target=call)
        thread.start()
        time.sleep(0.5)
        began = time.monotonic()
        assert server.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < STOP_S / 2
        thread.join(STOP_S)
        assert len(faults) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("empty", "told"), [(False, "Could not find base path"), (True, "No versions of servable module found")]
)
def test_a_missing_or_empty_folder_is_waited_for(
    models: Path, tmp_path: Path, *, empty: bool, told: str
) -> None:
    base = tmp_path / "later"
    if empty:
        base.mkdir()
    with server_process("--model_name=module", f"--model_base_path={base}") as server:
        while told not in server.output:
            assert server.process.poll() is None
            time.sleep(0.1)
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", server.port)) != 0
        base.mkdir(exist_ok=True)
        (base / "1").symlink_to(models / "module" / "1")
        server.wait_until_ready()
        with Caller(server.address) as caller:
            assert caller.states("module") == {1: "AVAILABLE"}


@pytest.mark.slow
def test_sigterm_while_waiting_for_a_folder(tmp_path: Path) -> None:
    with server_process(f"--model_base_path={tmp_path / 'never'}") as server:
        while "Could not find base path" not in server.output:
            assert server.process.poll() is None
            time.sleep(0.1)
        assert server.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("what", ["nothing", "garbage", "file"])
def test_a_model_that_cannot_be_read(tmp_path: Path, what: str) -> None:
    version = tmp_path / "m" / "1"
    messages = {
        "nothing": "NOT_FOUND: Could not find SavedModel .pb or .pbtxt at supplied export directory path",
        "garbage": "OUT_OF_RANGE: Read less bytes than requested",
        "file": "NOT_FOUND: Could not find SavedModel",
    }
    if what == "file":
        version.parent.mkdir()
        version.write_text("not a folder")
    else:
        version.mkdir(parents=True)
        if what == "garbage":
            (version / "saved_model.pb").write_bytes(b"\xff" * 100)
    port, _ = free_ports(2)
    ended = run(
        f"--port={port}", "--model_name=m", f"--model_base_path={tmp_path / 'm'}", "--max_num_load_retries=0"
    )
    assert ended.returncode == FAILED
    assert (
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: "
        "{{{name: m version: 1} due to error: " + messages[what]
    ) in ended.stderr


@pytest.mark.slow
def test_taken_ports_are_named(models: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other, _ = free_ports(2)
        base = f"--model_base_path={models / 'module'}"
        for flags, purpose in (
            ([f"--port={port}"], "gRPC"),
            ([f"--port={other}", f"--rest_api_port={port}"], "REST"),
        ):
            ended = run(base, *flags)
            assert ended.returncode == FAILED
            assert f"port {port} for {purpose} cannot be used: Address already in use" in ended.stderr


@pytest.mark.slow
def test_bad_files(tmp_path: Path) -> None:
    bad = tmp_path / "bad.config"
    bad.write_text("model_config_list { config { nmae: 'm' } }")
    ended = run(f"--model_config_file={bad}")
    assert ended.returncode == FAILED
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig: 1:30: " in ended.stderr
    assert f"Invalid protobuf file: '{bad}'" in ended.stderr
    ended = run("--model_config_file=/no/such/file")
    assert (ended.returncode, "NOT_FOUND: /no/such/file" in ended.stderr) == (FAILED, True)
    ended = run(f"--model_base_path={tmp_path}", f"--batching_parameters_file={bad}")
    assert ended.returncode == FAILED
    assert "without setting server_options.enable_batching to true" in ended.stderr
    ended = run(f"--port={os.getpid() % 1000 + 20000}")
    assert (
        "Both server_options.model_base_path and server_options.model_config_file are empty!" in ended.stderr
    )


@pytest.mark.skipif(sys.platform != "linux", reason="a thread is named to Linux's kernel")
def test_a_signal_that_comes_to_another_thread_is_heeded(models: Path) -> None:
    with running_server(f"--model_base_path={models / 'module'}", "--model_name=module") as server:
        signal_another_thread(server.process.pid, signal.SIGTERM)
        assert server.process.wait(STOP_S) == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the policy is Linux's")
def test_threads_that_wake_do_not_interrupt_the_one_at_work(models: Path) -> None:
    with running_server(f"--model_base_path={models / 'module'}", "--model_name=module") as server:
        threads = [int(path.name) for path in Path(f"/proc/{server.process.pid}/task").iterdir()]
        assert len(threads) > 4
        assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_BATCH}
        assert server.stop(signal.SIGTERM) == 0
