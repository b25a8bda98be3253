"""What the model server is compared with, each in a process of its own, running and warm.

python -m bench.serving_contenders --echo | --write FOLDER | --in-process FOLDER
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.model import NAME as DETECTOR
from bench.model import build
from bench.servers import free_port

SIDE: Final = 300  # pixels; a picture of 270,000 bytes
ECHO, NULL = "bare gRPC echo", "null model, served"
SERVED, IN_PROCESS = "detector, served", "detector, in process"
MODULE: Final = "bench.serving_contenders"


def write_models(folder: Path) -> None:
    """`null`: pictures in, the same pictures out. And the detector that all benchmarks use."""
    import tensorflow as tf

    class Null(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.uint8, "images")])  # type: ignore[untyped-decorator]
        def call(self, images: Any) -> Any:
            return {"images": tf.identity(images)}

    module = Null()
    tf.saved_model.save(module, str(folder / "null" / "1"), signatures=module.call)
    build(folder)


def picture() -> Any:
    """uint8 [1, 300, 300, 3], noise: the worst case for whatever counts bytes."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)


def at_once(clients: int, calls: int, call: Callable[[], object]) -> None:
    """`calls` calls, from so many threads."""

    def several() -> None:
        for _ in range(calls // clients):
            call()

    threads = [threading.Thread(target=several) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def serve_echo() -> None:
    """A gRPC server that answers with the request, until it is killed."""
    from concurrent import futures

    import grpc

    handler: Any = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", {"Call": handler}),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


def call_in_process(folder: str) -> None:
    """Call the model as told on standard input, `clients calls` a line, and print the CPU seconds used."""
    import tensorflow as tf

    loaded = tf.saved_model.load(f"{folder}/{DETECTOR}/1")
    signature, images = loaded.signatures["serving_default"], tf.constant(picture())

    def detect() -> list[Any]:
        return [output.numpy() for output in signature(images=images).values()]

    at_once(1, 20, detect)
    print("ready", flush=True)
    for line in sys.stdin:
        clients, calls = map(int, line.split())
        began = time.process_time()
        at_once(clients, calls, detect)
        print(time.process_time() - began, flush=True)


@contextmanager
def started(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended afterwards."""
    process = subprocess.Popen([sys.executable, *arguments], text=True, stderr=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far; its resolution is a tick of 10 ms."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


Measure = Callable[[int, int], float]  # clients, calls -> CPU seconds


def measure_remote(process: int, call: Callable[[], object]) -> Measure:
    """Measures a server by its process."""

    def measure(clients: int, calls: int) -> float:
        before = cpu_seconds(process)
        at_once(clients, calls, call)
        return cpu_seconds(process) - before

    return measure


@contextmanager
def contenders(folder: Path) -> Iterator[dict[str, Measure]]:
    """All of them, running and warm."""
    import grpc
    from tensorflow_serving.apis import predict_pb2

    config = folder / "models.config"
    config.write_text(
        "model_config_list {"
        + "".join(
            f'config {{ name: "{name}" base_path: "{folder / name}" model_platform: "tensorflow" }}'
            for name in ("null", DETECTOR)
        )
        + "}"
    )
    port = free_port()
    server_arguments = (
        "-m", "sightline_serving.model_server", f"--port={port}", f"--model_config_file={config}",
        "--grpc_max_threads=32",
    )  # fmt: skip
    with (
        started("-m", MODULE, "--echo", stdout=subprocess.PIPE) as echo,
        started(
            "-m", MODULE, "--in-process", str(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as alone,
        started(*server_arguments) as server,
    ):
        assert echo.stdout is not None and alone.stdout is not None and alone.stdin is not None
        echo_channel = grpc.insecure_channel(f"127.0.0.1:{int(echo.stdout.readline())}")
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_receive_message_length", -1)])
        grpc.channel_ready_future(channel).result(120)
        assert alone.stdout.readline().strip() == "ready"
        echo_call: Any = echo_channel.unary_unary("/echo/Call")
        predict: Any = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")

        def request(name: str) -> bytes:
            pixels = picture()
            made = predict_pb2.PredictRequest()
            made.model_spec.name = name
            tensor = made.inputs["images"]
            tensor.dtype = 4  # DT_UINT8
            for size in pixels.shape:
                tensor.tensor_shape.dim.add(size=size)
            tensor.tensor_content = pixels.tobytes()
            return bytes(made.SerializeToString())

        null, model = request("null"), request(DETECTOR)

        def ask_alone(clients: int, calls: int) -> float:
            assert alone.stdin is not None and alone.stdout is not None
            alone.stdin.write(f"{clients} {calls}\n")
            alone.stdin.flush()
            return float(alone.stdout.readline())

        yield {
            ECHO: measure_remote(echo.pid, lambda: echo_call(null)),
            NULL: measure_remote(server.pid, lambda: predict(null, timeout=60)),
            IN_PROCESS: ask_alone,
            SERVED: measure_remote(server.pid, lambda: predict(model, timeout=60)),
        }


def main() -> None:
    """Be one of the processes."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    role = parser.add_mutually_exclusive_group(required=True)
    role.add_argument("--echo", action="store_true", help="answer with the request")
    role.add_argument("--write", metavar="FOLDER", help="write the models")
    role.add_argument("--in-process", metavar="FOLDER", help="call the detector as told on standard input")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if arguments.echo:
        serve_echo()
    elif arguments.write:
        write_models(Path(arguments.write))
    else:
        call_in_process(arguments.in_process)


if __name__ == "__main__":
    main()
