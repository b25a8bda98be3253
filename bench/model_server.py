"""What serving costs: the local model server against the model called in process, and a bare gRPC echo.

    python -m bench.model_server            # about three minutes; writes bench/model_server.json and .md

All contenders are measured in one run, in turns, so that a noisy machine is noisy for each of them. CPU time
is that of the server's process, user and system; the clients' is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.model import NAME as DETECTOR
from bench.model import build

SIDE: Final = 300  # pixels; a picture of 270,000 bytes
CLIENTS: Final = (1, 16)
ROUNDS: Final = 10
ECHO, NULL = "bare gRPC echo", "null model, served"
SERVED, IN_PROCESS = "detector, served", "detector, in process"
CALLS: Final = {ECHO: 400, NULL: 400, SERVED: 48, IN_PROCESS: 48}  # a round
NULL_GOAL: Final = 1000.0  # requests per CPU-second of the server
OVERHEAD_GOAL: Final = 0.10  # of CPU per request, over calling in process
HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Row:
    """The median of all rounds."""

    contender: str
    clients: int
    cpu_ms: float  # per request
    per_cpu_second: float  # requests
    spread: float  # of cpu_ms, (largest - smallest) / median
    overhead: float | None  # of serving, over calling in process: the median of each round's own ratio


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


# --- contenders -----------------------------------------------------------------------------------


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
    module = "bench.model_server"
    server_arguments = (
        "-m", "sightline_serving.model_server", f"--port={port}", f"--model_config_file={config}",
        "--grpc_max_threads=32",
    )  # fmt: skip
    with (
        started("-m", module, "--echo", stdout=subprocess.PIPE) as echo,
        started(
            "-m", module, "--in-process", str(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE
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


def free_port() -> int:
    """A port that nobody listens on now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- the run --------------------------------------------------------------------------------------


def run(rounds: int) -> list[Row]:
    """Every contender at every number of clients, in turns."""
    found: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        # In a process of its own, for TensorFlow takes CPU time and threads that are not the clients'.
        subprocess.run([sys.executable, "-m", "bench.model_server", "--write", scratch], check=True)
        with contenders(folder) as measured:
            for measure in measured.values():
                measure(1, 40)
            for number in range(rounds):
                for clients in CLIENTS:
                    for name, measure in measured.items():
                        used = measure(clients, CALLS[name]) / CALLS[name]
                        found.setdefault((name, clients), []).append(used * 1e3)
                        print(
                            f"round {number + 1} of {rounds}: {name}, {clients} clients: {used * 1e3:.2f} ms"
                        )
    return [_row(name, clients, found) for name, clients in found]


def _row(name: str, clients: int, found: dict[tuple[str, int], list[float]]) -> Row:
    values = found[name, clients]
    median = statistics.median(values)
    overhead = None
    if name == SERVED:
        # Neighbours in time, so that what else the machine does falls on both.
        pairs = zip(values, found[IN_PROCESS, clients], strict=True)
        overhead = statistics.median(served / alone - 1 for served, alone in pairs)
    return Row(name, clients, median, 1e3 / median, (max(values) - min(values)) / median, overhead)


def report(rows: list[Row], rounds: int) -> str:
    """The table and the verdicts, in Markdown."""
    by_key = {(row.contender, row.clients): row for row in rows}
    lines = [
        "# What the local model server costs",
        "",
        f"CPU of the server's process per request, median of {rounds} rounds in turns. A request is one",
        "picture of 300 x 300 x 3 bytes; the null model answers with the same picture in `int_val`. Made by",
        f"`python -m bench.model_server` on {os.cpu_count()} CPUs.",
        "",
        "| contender | clients | CPU per request, ms | requests per CPU-second | spread |",
        "|---|---|---|---|---|",
    ]
    lines.extend(
        f"| {row.contender} | {row.clients} | {row.cpu_ms:.2f} | {row.per_cpu_second:.0f} | "
        f"{row.spread:.0%} |"
        for row in rows
    )
    lines.append("")
    for clients in CLIENTS:
        null, echo = by_key[NULL, clients], by_key[ECHO, clients]
        overhead = by_key[SERVED, clients].overhead or 0.0
        lines.append(
            f"- {clients} clients: the null model serves {null.per_cpu_second:.0f} requests per CPU-second "
            f"(goal {NULL_GOAL:.0f}: {_verdict(null.per_cpu_second >= NULL_GOAL)}), "
            f"{null.per_cpu_second / echo.per_cpu_second:.2f} of the bare echo's. Serving the detector costs "
            f"{overhead:+.1%} CPU over calling it in process (goal at most {OVERHEAD_GOAL:.0%}: "
            f"{_verdict(overhead <= OVERHEAD_GOAL)})."
        )
    return "\n".join(lines) + "\n"


def _verdict(met: bool) -> str:
    return "met" if met else "missed"


def main() -> None:
    """Measure and write both files, or be one of the contenders."""
    parser = argparse.ArgumentParser(prog="python -m bench.model_server")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    for role in ("--write", "--in-process"):
        parser.add_argument(role, metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--echo", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if arguments.echo:
        serve_echo()
    elif arguments.write:
        write_models(Path(arguments.write))
    elif arguments.in_process:
        call_in_process(arguments.in_process)
    else:
        rows = run(arguments.rounds)
        text = report(rows, arguments.rounds)
        (HERE / "model_server.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
        (HERE / "model_server.md").write_text(text)
        print(text)


if __name__ == "__main__":
    main()
