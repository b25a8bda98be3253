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
from bench.video_decode import film

_FRAMES: Final = 500  # of the film; twenty seconds
_SHORT: Final = 25  # of the one that tells what starting costs
_MODEL_FRAMES: Final = 50
_ROUNDS: Final = 5
_CPU_AIM, _SPEED_AIM = 1.10, 0.90
_PATH: Final = "/v1/detectVideo"
_LOOK: Final = 0.25  # seconds between two looks at the memory


@dataclass(frozen=True, slots=True)
class Watched:
    """Of one video."""

    cpu_ms: float  # per frame, of all processes on its way but the null Serving
    per_second: float  # frames
    memory: tuple[float, ...] = ()  # MiB over time


def measure(run: Run) -> Section:
    """Line 4: video."""
    version = exported()
    folder = WORK / "pictures"
    long = film(folder / f"film-{_FRAMES}.mp4", _FRAMES)
    short = film(folder / "short.mp4", _SHORT)
    rounds = run.rounds(_ROUNDS)
    ways: dict[str, Callable[[Server, Server, str], Watched]] = {
        ":detectVideo": lambda front, behind, model: _post(front, behind, long),
        "sightline video": lambda front, behind, model: _command(behind, model, long, short),
    }
    decoded: list[dict[str, float]] = []
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
            decoded.append(decoder.ask())
            alone.append(model.ask(turns=_MODEL_FRAMES, callers=1)["cpu_ms"])
            for way, watch in ways.items():
                nothing[way].append(watch(front, null, MODEL))
                real[way].append(watch(front_of_model, server, NAME))
    return _section(run, decoded, alone, nothing, real)


def _section(
    run: Run,
    decoded: list[dict[str, float]],
    alone: list[float],
    nothing: dict[str, list[Watched]],
    real: dict[str, list[Watched]],
) -> Section:
    decode_ms = [one["cpu_seconds"] * 1000 / one["frames"] for one in decoded]
    speed = [one["frames"] / one["seconds"] for one in decoded]
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
            ]
        )
        aims.append(Aim(f"{way}: CPU a frame over decode and model alone", over.median, _CPU_AIM))
        aims.append(
            Aim(f"{way}: frames a second over decode alone, null", fast.median, _SPEED_AIM, at_most=False)
        )
    memory = {
        "gateway": [(number * _LOOK, value) for number, value in enumerate(real[":detectVideo"][-1].memory)]
    }
    header = [
        "",
        "with the SSD, CPU ms a frame",
        "over decode + model",
        "frames a second",
        "null Serving, CPU ms a frame",
        "frames a second",
        "over decode alone",
    ]
    return Section(
        "Video",
        [
            f"A film of {_FRAMES} frames, 1280x720, MPEG-4. Decoding alone takes "
            f"{summarise(decode_ms)} CPU ms a frame "
            f"({summarise(speed)} frames a second), the model alone {summarise(alone)}. CPU counts "
            "the gateway or the "
            "command, the decoder's process and the model server; with the null Serving, all but that.",
            Table(header, rows),
            "Memory of the gateway's processes while it answers the film:",
            lines(run.out / "video-memory.png", memory, x="seconds", y="MiB"),
        ],
        aims,
        {"decode_ms": summarise(decode_ms), "alone_ms": summarise(alone)},
    )


def _post(front: Server, behind: Server, path: Path) -> Watched:
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
            if time.perf_counter() - looked > _LOOK:
                looked = time.perf_counter()
                memory.append(front.tree.memory().proportional / 2**20)
    finally:
        connection.close()
    seconds = time.perf_counter() - begun
    if "error" in json.loads(last):
        raise LoadError(f"{_PATH}: {last!r}")
    frames -= 1  # the summary
    return Watched((_cpu(counted) - before) * 1000 / frames, frames / seconds, tuple(memory))


def _command(behind: Server, model: str, long: Path, short: Path) -> Watched:
    """Run `sightline video` on a long and a short film: the difference leaves out what starting costs."""
    counted = [] if behind.name == "null-serving" else [behind]
    taken = []
    for path in (short, long):
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
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise LoadError(f"sightline video ended with {process.returncode}")
        cpu = used.ru_utime + used.ru_stime + _cpu(counted) - before
        taken.append((cpu, time.perf_counter() - begun))
    frames = _FRAMES - _SHORT
    (short_cpu, short_seconds), (long_cpu, long_seconds) = taken
    return Watched((long_cpu - short_cpu) * 1000 / frames, frames / (long_seconds - short_seconds))


def _cpu(servers: list[Server]) -> float:
    return sum(server.tree.cpu_seconds() for server in servers)
