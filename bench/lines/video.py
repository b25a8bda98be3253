"""What a frame costs on its way through `:detectVideo` and `sightline video`."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.lines.model_bound import exported
from bench.measuring import LoadError, helper
from bench.model import NAME
from bench.null_serving import MODEL
from bench.pictures import USUAL
from bench.plots import lines
from bench.report import Aim, Section, Table
from bench.rounds import ratio, summarise
from bench.run import Run
from bench.servers import WORK, Server, gateway, model_server, null_serving
from bench.video_decode import LOOP, RESIZED, film

_FRAMES: Final = 500  # of the film; twenty seconds
_SHORT: Final = 25  # of the one that tells what starting costs
_MODEL_FRAMES: Final = 50
_ROUNDS: Final = 5
_CPU_AIM, _SPEED_AIM = 1.10, 0.90
_PATH: Final = "/v1/detectVideo"
_LOOK: Final = 0.25  # seconds between two looks at the memory


@dataclass(frozen=True, slots=True)
class Taken:
    """What one film took."""

    frames: int
    cpu: float  # seconds, of all processes on its way but the null Serving
    seconds: float
    memory: tuple[float, ...] = ()  # MiB over time


@dataclass(frozen=True, slots=True)
class Watched:
    """Of a long film after a short one: the difference leaves out what a video's start costs."""

    short: Taken
    long: Taken

    @property
    def cpu_ms(self) -> float:
        """A frame."""
        return (self.long.cpu - self.short.cpu) * 1000 / (self.long.frames - self.short.frames)

    @property
    def per_second(self) -> float:
        """Frames."""
        return (self.long.frames - self.short.frames) / (self.long.seconds - self.short.seconds)

    @property
    def start_ms(self) -> float:
        """Until a film's frames come at their pace."""
        return self.short.seconds * 1000 - self.short.frames * 1000 / self.per_second


def measure(run: Run) -> Section:
    """Line 4: video."""
    version = exported()
    folder = WORK / "pictures"
    long = film(folder / f"film-{_FRAMES}.mp4", _FRAMES)
    short = film(folder / "short.mp4", _SHORT)
    rounds = run.rounds(_ROUNDS)
    ways: dict[str, Callable[[Server, Server, str, Path], Taken]] = {
        ":detectVideo": lambda front, behind, model, path: _post(front, behind, path),
        "sightline video": lambda front, behind, model, path: _command(behind, model, path),
    }
    decoded: dict[str, list[dict[str, float]]] = {LOOP: [], RESIZED: []}
    nothing: dict[str, list[Watched]] = {way: [] for way in ways}
    real: dict[str, list[Watched]] = {way: [] for way in ways}
    alone: list[float] = []
    with (
        null_serving() as null,
        gateway(null, MODEL) as front,
        model_server(NAME, version.parent) as server,
        gateway(server, NAME) as front_of_model,
        helper("bench.video_decode", long) as decoder,
        helper("bench.model_alone", version, run.bodies[USUAL.name].picture) as model,
    ):
        _post(front, null, short)
        _post(front_of_model, server, short)
        for number in range(rounds):
            run.tell(f"video: round {number + 1} of {rounds}")
            for way, asked in decoded.items():
                asked.append(decoder.ask(way=way))
            alone.append(model.ask(turns=_MODEL_FRAMES, callers=1)["cpu_ms"])
            for way, take in ways.items():
                nothing[way].append(Watched(*(take(front, null, MODEL, path) for path in (short, long))))
                real[way].append(
                    Watched(*(take(front_of_model, server, NAME, path) for path in (short, long)))
                )
    return _section(run, decoded, alone, nothing, real)


def _section(
    run: Run,
    decoded: dict[str, list[dict[str, float]]],
    alone: list[float],
    nothing: dict[str, list[Watched]],
    real: dict[str, list[Watched]],
) -> Section:
    decode_ms, speed = _decoding(decoded[LOOP])
    small_ms, small_speed = _decoding(decoded[RESIZED])
    least = [a + b for a, b in zip(decode_ms, alone, strict=True)]
    rows, aims = [], []
    for way, taken in real.items():
        over = ratio([one.cpu_ms for one in taken], least)
        fast = ratio([one.per_second for one in nothing[way]], speed)
        rows.append(
            [
                way,
                summarise([one.cpu_ms for one in taken]),
                over,
                summarise([one.per_second for one in taken]),
                summarise([one.cpu_ms for one in nothing[way]]),
                summarise([one.per_second for one in nothing[way]]),
                fast,
                summarise([one.start_ms for one in nothing[way]]),
            ]
        )
        aims.append(Aim(f"{way}: CPU a frame over decode and model alone", over.median, _CPU_AIM))
        aims.append(
            Aim(f"{way}: frames a second over decode alone, null", fast.median, _SPEED_AIM, at_most=False)
        )
    memory = {
        "gateway": [
            (number * _LOOK, value) for number, value in enumerate(real[":detectVideo"][-1].long.memory)
        ]
    }
    header = [
        "",
        "with the SSD, CPU ms a frame",
        "over decode + model",
        "frames a second",
        "null Serving, CPU ms a frame",
        "frames a second",
        "over decode alone",
        "start, ms",
    ]
    return Section(
        "Video",
        [
            f"A film of {_FRAMES} frames, 1280x720, MPEG-4. Decoding alone, a loop over OpenCV's capture "
            "with its own settings and every frame in full as RGB, takes "
            f"{summarise(decode_ms)} CPU ms a frame ({summarise(speed)} frames a second), the model alone "
            f"{summarise(alone)}. Sightline's decoding to the model's size takes {summarise(small_ms)} "
            f"({summarise(small_speed)} frames a second). CPU counts the gateway or the command, the "
            "decoder's process and the model server; with the null Serving, all but that. What a video's "
            f"start costs is left out by a film of {_SHORT} frames, and stands beside it. The null Serving "
            "and the reader of the answer run on the same cores.",
            Table(header, rows),
            "Memory of the gateway's processes while it answers the film:",
            lines(run.out / "video-memory.png", memory, x="seconds", y="MiB"),
        ],
        aims,
        {"decode_ms": summarise(decode_ms), "alone_ms": summarise(alone)},
    )


def _decoding(decoded: list[dict[str, float]]) -> tuple[list[float], list[float]]:
    """CPU ms a frame, and frames a second."""
    return (
        [one["cpu_seconds"] * 1000 / one["frames"] for one in decoded],
        [one["frames"] / one["seconds"] for one in decoded],
    )


def _post(front: Server, behind: Server, path: Path) -> Taken:
    """Send a film and read the lines as they come, with a look at the memory now and then."""
    counted = [front] if behind.name == "null-serving" else [front, behind]
    before = _cpu(counted)
    begun = time.perf_counter()
    connection = http.client.HTTPConnection(front.host, front.port, timeout=120)
    frames, memory, looked = 0, [], 0.0
    try:
        connection.request("POST", _PATH, path.read_bytes(), {"Content-Type": "video/mp4"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise LoadError(f"{_PATH}: {answer.status} {answer.read(500)!r}")
        last = b""
        for line in answer:
            last = line
            frames += 1
            if behind.name != "null-serving" and time.perf_counter() - looked > _LOOK:
                looked = time.perf_counter()
                memory.append(front.tree.memory().proportional / 2**20)
    finally:
        connection.close()
    seconds = time.perf_counter() - begun
    if "error" in json.loads(last):
        raise LoadError(f"{_PATH}: {last!r}")
    frames -= 1  # the summary
    return Taken(frames, _cpu(counted) - before, seconds, tuple(memory))


def _command(behind: Server, model: str, path: Path) -> Taken:
    """Run `sightline video`."""
    counted = [] if behind.name == "null-serving" else [behind]
    before, begun = _cpu(counted), time.perf_counter()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sightline.cli",
            "video",
            str(path),
            "--serving",
            f"{behind.host}:{behind.port}",
            "--model",
            model,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    with process.stdout:
        frames = sum(1 for _ in process.stdout) - 1  # the summary
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise LoadError(f"sightline video ended with {process.returncode}")
    cpu = used.ru_utime + used.ru_stime + _cpu(counted) - before
    return Taken(frames, cpu, time.perf_counter() - begun)


def _cpu(servers: list[Server]) -> float:
    return sum(server.tree.cpu_seconds() for server in servers)
