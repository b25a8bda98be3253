"""What must hold over a long time: no call lost while versions change, no memory kept when they go."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
from support.model_servers import running_server
from support.saved_models import write_half_plus, write_null
from support.serving_calls import Caller, predict_request

SWAPS = 100
LOADS = 50
LOAD_WARM_UP = 10  # loads after which TensorFlow has made whatever it makes once
KEPT_MB = 60  # that may stay after forty loads of a model of as many MB: far less than one of them each
WEIGHTS_MB = 40
LONG_S = 120.0


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def publish(version: Path, base: Path, number: int) -> None:
    """As a training does it: copy beside, then rename."""
    beside = base / f"{number}.tmp"
    shutil.copytree(version, beside)
    beside.rename(base / str(number))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_call_fails_while_versions_are_swapped(tmp_path: Path) -> None:
    """Two versions, x / 2 + 2 and x / 2 + 3, come and go a hundred times under load."""
    sources = [write_half_plus(tmp_path / f"plus{plus}", float(plus)) for plus in (2, 3)]
    base = tmp_path / "m"
    base.mkdir()
    publish(sources[0], base, 1)
    flags = ("--model_name=m", f"--model_base_path={base}", "--grpc_max_threads=32")
    with (
        running_server(*flags, "--file_system_poll_wait_seconds=1") as server,
        Caller(server.address) as caller,
    ):
        stopped = threading.Event()
        failures: list[str] = []
        answered = [0] * 4

        def load(index: int) -> None:
            request = predict_request("m", x=np.float32([2.0]))
            while not stopped.is_set():
                try:
                    response = caller.predict(request)
                except grpc.RpcError as fault:
                    failures.append(f"{fault.code().name}: {fault.details()}")
                    continue
                expected = 3.0 if response.model_spec.version.value % 2 else 4.0
                if response.outputs["y"].float_val != [expected]:
                    failures.append(f"{response}")
                answered[index] += 1
                time.sleep(0.002)

        threads = [threading.Thread(target=load, args=(index,)) for index in range(len(answered))]
        for thread in threads:
            thread.start()
        try:
            for number in range(2, SWAPS + 2):
                publish(sources[(number - 1) % 2], base, number)
                until(lambda number=number: caller.states("m").get(number) == "AVAILABLE")
                shutil.rmtree(base / str(number - 1))
            until(lambda: caller.states("m")[SWAPS] == "END")
        finally:
            stopped.set()
            for thread in threads:
                thread.join()
        assert failures == []
        assert min(answered) > SWAPS
        print(f"{sum(answered)} calls, {SWAPS} swaps")


def resident_mb(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def write_heavy(folder: Path) -> Path:
    """A model with so many MB of variables."""
    import tensorflow as tf

    class Heavy(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            self.weights = tf.Variable(np.random.default_rng(0).random(WEIGHTS_MB * 250_000, np.float32))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def sum(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": x + tf.reduce_sum(self.weights)}

    module = Heavy()
    tf.saved_model.save(module, str(folder), signatures=module.sum)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of a process from /proc")
def test_memory_is_given_back(tmp_path: Path) -> None:
    version = write_heavy(tmp_path / "heavy")
    stays = write_null(tmp_path / "null" / "1").parent
    base = tmp_path / "m"
    base.mkdir()
    config = tmp_path / "models.config"

    def entry(name: str, path: Path) -> str:
        return f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}'

    publish(version, base, 1)
    config.write_text(f"model_config_list {{ {entry('null', stays)} {entry('m', base)} }}")
    with running_server(f"--model_config_file={config}") as server, Caller(server.address) as caller:
        memory = {}
        for number in range(1, LOADS + 1):
            until(lambda number=number: caller.states("m").get(number) == "AVAILABLE")
            caller.outputs("m", x=[1.0])
            publish(version, base, number + 1)
            shutil.rmtree(base / str(number))
            until(lambda number=number: caller.states("m").get(number) == "END")
            memory[number] = resident_mb(server.process.pid)
        growth = memory[LOADS] - memory[LOAD_WARM_UP]
        print(
            f"after {LOAD_WARM_UP} loads {memory[LOAD_WARM_UP]:.0f} MB, after {LOADS} {memory[LOADS]:.0f} MB"
        )
        assert growth < KEPT_MB
