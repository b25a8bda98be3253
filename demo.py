"""The whole chain on one machine: draw droids, train, export, serve, ask by HTTP, look at the answer.

Run by `make demo`. Each step is one of the project's own commands, printed before it runs; all that it
makes lies under build/demo. A step that is finished is not done again; one that was interrupted is.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from sightline import Gateway, Result
from sightline.draw import draw
from sightline.errors import SightlineError
from sightline.images import decode, encode_jpeg
from sightline.whole_file import whole_file
from sightline_training.annotations import read_dataset
from sightline_training.examples import LabelledBox

HOST: Final = "127.0.0.1"
MODEL: Final = "droids"
BIN: Final = Path(sys.executable).parent  # where our commands are
START_SECONDS: Final = 120.0  # TensorFlow's import alone takes several on a busy machine
STOP_SECONDS: Final = 15.0  # for requests under way; then a server is killed
INTERRUPTED: Final = 130  # a command's exit code after Ctrl-C
SAME_BOX: Final = 0.5  # IoU from which two boxes are of one object


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@dataclass(frozen=True)
class Service:
    """What runs."""

    url: str  # of the gateway
    processes: dict[str, subprocess.Popen[bytes]]

    def check(self) -> None:
        """Raise DemoError if one of the processes has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise DemoError(f"{name} ended with exit code {process.returncode}; it says why above")

    def wait(self) -> None:
        """Until Ctrl-C."""
        try:
            while True:
                self.check()
                time.sleep(0.5)
        except KeyboardInterrupt:
            print("\nStopping.", flush=True)


@dataclass(frozen=True)
class Ports:
    """Where the servers listen."""

    grpc: int
    rest: int
    gateway: int


def main() -> int:
    """Run the demo; 0 if the right droid was found."""
    arguments = _arguments()
    ports = Ports(arguments.grpc_port, arguments.rest_port, arguments.gateway_port)
    folder: Path = arguments.folder
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        check_ports(ports)
        versions = prepare(folder)
        picture, drawn = choose_picture(folder)
        with serving(versions, ports) as service:
            found = right(ask(service.url, picture, folder), drawn)
            if not arguments.once:
                invite(service.url, picture)
                service.wait()
    except (DemoError, SightlineError) as fault:
        print(f"demo: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; `make demo` goes on from there.", file=sys.stderr)
        return INTERRUPTED
    return 0 if found else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--once", action="store_true", help="end after the request")
    parser.add_argument("--folder", type=Path, default=Path("build/demo"), help="where all that is made goes")
    parser.add_argument("--gateway-port", type=int, default=8080)
    parser.add_argument("--grpc-port", type=int, default=8500)
    parser.add_argument("--rest-port", type=int, default=8501)
    return parser.parse_args()


def check_ports(ports: Ports) -> None:
    """Before minutes of training, not after."""
    wanted = {"gRPC": ports.grpc, "REST": ports.rest, "gateway": ports.gateway}
    taken = []
    for name, port in wanted.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                taken.append(f"{port} ({name})")
    if taken:
        raise DemoError(
            f"on {HOST} something listens on {', '.join(taken)} already. Stop it, or choose other ports: "
            "make demo DEMO_FLAGS='--gateway-port 9080 --grpc-port 9500 --rest-port 9501'"
        )


def prepare(folder: Path) -> Path:
    """Draw, train, measure and export, as far as that is not done; the folder of the model's versions."""
    models = folder / "models"
    folders = {"--data": folder / "data", "--run": folder / "run", "--models": models / MODEL}
    command = [str(BIN / "sightline-train"), "demo"]
    for option, path in folders.items():
        command += [option, str(path)]
    _say("Data, training and export")
    _show(command)
    code = subprocess.run(command, check=False).returncode
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise DemoError(f"training ended with exit code {code}")
    return models / MODEL


def choose_picture(folder: Path) -> tuple[Path, LabelledBox]:
    """A drawn picture that was not trained on and holds one droid; and that droid."""
    for example in read_dataset(folder / "data" / "test").examples:
        if len(example.boxes) == 1:
            picture = folder / "picture.jpg"
            with whole_file(picture) as file:
                file.write(example.path.read_bytes())
            return picture, example.boxes[0]
    raise DemoError(f"no picture in {folder / 'data' / 'test'} holds exactly one droid")


@contextmanager
def serving(versions: Path, ports: Ports) -> Iterator[Service]:
    """A model server and a gateway that is ready; both are stopped at the end."""
    target, url = f"{HOST}:{ports.grpc}", f"http://{HOST}:{ports.gateway}"
    model_server = (
        "sightline-model-server",
        f"--port={ports.grpc}",
        f"--rest_api_port={ports.rest}",
        f"--model_name={MODEL}",
        f"--model_base_path={versions.resolve()}",
    )
    settings = {
        "SIGHTLINE_SERVING": target,
        "SIGHTLINE_MODEL": MODEL,
        "SIGHTLINE_HOST": HOST,
        "SIGHTLINE_PORT": str(ports.gateway),
        "SIGHTLINE_LOG_LEVEL": "warning",  # the demo says what it does itself
    }
    _say("Serving")
    with _process(*model_server) as server, _process("sightline-gateway", **settings) as gateway:
        service = Service(url, {"the model server": server, "the gateway": gateway})
        deadline = time.monotonic() + START_SECONDS
        while not _ready(url):
            service.check()
            if time.monotonic() > deadline:
                raise DemoError(f"the model is not served after {START_SECONDS:.0f} s")
            time.sleep(0.1)
        yield service


@contextmanager
def _process(command: str, *flags: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """One of our commands, running; asked to stop at the end, and killed if it does not."""
    _show((BIN / command, *flags), settings)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}  # TensorFlow's remarks on this machine would hide the answer
    environment = {**quiet, **os.environ, **settings}
    # In a session of its own, so that Ctrl-C reaches the demo alone, and the demo stops it in its turn.
    child = subprocess.Popen((BIN / command, *flags), env=environment, start_new_session=True)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def ask(url: str, picture: Path, folder: Path) -> Result:
    """POST a picture, print the answer, and draw it."""
    _say(f"Asking about {picture}")
    with Gateway(url) as gateway:
        result = gateway.detect(picture)
    print(json.dumps(result.to_dict(), indent=2))
    drawn = folder / "found.jpg"
    with whole_file(drawn) as file:
        file.write(encode_jpeg(draw(decode(picture.read_bytes()).pixels, result.detections)))
    print(f"\nThe picture with its boxes: {drawn.resolve()}")
    return result


def right(result: Result, drawn: LabelledBox) -> bool:
    """Whether the droid that is in the picture was found, where it is."""
    if not result.detections:
        print(f"demo: {drawn.label} was drawn; nothing was found", file=sys.stderr)
        return False
    best = result.detections[0]
    overlap = _iou(best.box_normalized, (drawn.ymin, drawn.xmin, drawn.ymax, drawn.xmax))
    print(
        f"Drawn was {drawn.label}, found is {best.label}; their boxes overlap by {overlap:.0%}.", flush=True
    )
    return best.label == drawn.label and overlap >= SAME_BOX


def invite(url: str, picture: Path) -> None:
    """Say what can be done now."""
    _say("Serving until Ctrl-C. Try:")
    where = shlex.quote(str(picture))
    print(f"  curl --data-binary @{where} -H 'Content-Type: image/jpeg' {url}/v1/detect")
    print(f"  {BIN / 'sightline'} detect {where} --gateway {url}")
    print(f"  and in a browser: {url}/", flush=True)


def _iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Intersection over union of two boxes, ymin xmin ymax xmax."""
    height = min(first[2], second[2]) - max(first[0], second[0])
    width = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(height, 0.0) * max(width, 0.0)
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / (both - shared)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).is_success
    except httpx.TransportError:
        return False


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _say(words: str) -> None:
    print(f"\n== {words}", flush=True)


def _show(command: Sequence[object], settings: dict[str, str] | None = None) -> None:
    """Print a command as one would type it."""
    name, *flags = (str(word) for word in command)
    assignments = [f"{key}={shlex.quote(value)}" for key, value in (settings or {}).items()]
    print("$", *assignments, shlex.join([Path(name).name, *flags]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
