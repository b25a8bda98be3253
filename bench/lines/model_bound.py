"""What the way through HTTP, the gateway and the model server adds to the model."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.answers import ask
from bench.bodies import load_of
from bench.lines.efficiency import PATH
from bench.measuring import LoadError, Sample, helper, send
from bench.model import NAME
from bench.pictures import USUAL
from bench.report import Aim, Section, Table
from bench.rounds import ratio, summarise
from bench.run import Run
from bench.servers import REPOSITORY, WORK, gateway, model_server, null_serving

CLIENTS: Final = (1, 16)
_AIM: Final = 1.08  # times the model alone plus the floor
_ROUNDS: Final = 9
_REQUESTS: Final = 64
_FLOOR_TURNS: Final = 60
_ALIKE: Final = "1"  # threads that share one op: as in the CPU image
_OWN: Final = "0"  # as TensorFlow chooses, all cores


def exported() -> Path:
    """The version folder that is measured, made if it is not there."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.model", WORK / "models"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},  # the same detector on every machine
        check=False,
    )
    if done.returncode:
        raise LoadError(f"the detector cannot be exported: {done.stderr.strip().splitlines()[-1]}")
    return Path(done.stdout.strip().splitlines()[-1])


def measure(run: Run) -> Section:
    """Line 3: model-bound."""
    version = exported()
    body = run.bodies[USUAL.name]
    samples: dict[int, list[Sample]] = {clients: [] for clients in CLIENTS}
    alone, own = (dict[int, list[dict[str, float]]]((clients, []) for clients in CLIENTS) for _ in range(2))
    floors: list[float] = []
    with (
        model_server(NAME, version.parent) as server,
        gateway(server, NAME) as front,
        null_serving() as null,
        helper("bench.floor", f"{null.host}:{null.port}") as floor,
        helper("bench.model_alone", version, body.picture, _ALIKE) as model,
        helper("bench.model_alone", version, body.picture, _OWN) as model_of_own,
    ):
        found = len(ask(front, PATH, body)["detections"])
        loads = {
            clients: load_of(front, PATH, body, clients=clients, requests=run.requests(_REQUESTS))
            for clients in CLIENTS
        }
        send(loads[CLIENTS[-1]], [])
        for number in range(run.rounds(_ROUNDS)):
            run.tell(f"model-bound: round {number + 1}")
            parts = floor.ask(picture=str(body.picture), turns=_FLOOR_TURNS)
            floors.append(sum(parts.values()))
            for clients, load in loads.items():
                asked = {"turns": run.requests(_REQUESTS), "callers": clients}
                alone[clients].append(model.ask(**asked))
                own[clients].append(model_of_own.ask(**asked))
                samples[clients].append(send(load, [front, server]))
    return _section(samples, alone, own, floors, found)


def _section(
    samples: dict[int, list[Sample]],
    alone: dict[int, list[dict[str, float]]],
    own: dict[int, list[dict[str, float]]],
    floors: list[float],
    found: int,
) -> Section:
    rows, aims, data = [], [], {}
    for clients, taken in samples.items():
        model, model_of_own = ([one["cpu_ms"] for one in told[clients]] for told in (alone, own))
        used = [sample.total_cpu_ms for sample in taken]
        over, over_own = (
            ratio(used, [cpu + bottom for cpu, bottom in zip(least, floors, strict=True)])
            for least in (model, model_of_own)
        )
        rows.append(
            [
                clients,
                summarise(model),
                summarise(floors).median,
                summarise([sample.cpu_ms[1] for sample in taken]),
                summarise([sample.cpu_ms[0] for sample in taken]),
                over,
                summarise(model_of_own),
                over_own,
                summarise([sample.per_second for sample in taken]),
                summarise([one["per_second"] for one in alone[clients]]),
                statistics.median(sample.own_cpu_ms for sample in taken),
            ]
        )
        data[clients] = {
            "ratio": over,
            "alone": summarise(model),
            "ratio_own_threads": over_own,
            "alone_own_threads": summarise(model_of_own),
            "per_second": summarise([sample.per_second for sample in taken]),
        }
        who = "1 client" if clients == 1 else f"{clients} clients"
        for settings, times in (("as TensorFlow sets it", over_own), ("set as in the image", over)):
            what = f"HTTP to boxes over the model alone ({settings}) and the floor, {who}"
            aims.append(Aim(what, times.median, _AIM))
    through = [sample.p50_ms for sample in samples[1]]
    inside = [one["p50_ms"] for one in alone[1]]
    added = summarise([a - b for a, b in zip(through, inside, strict=True)])
    part = 100 * added.median / summarise(inside).median
    header = [
        "clients",
        "model alone, CPU ms",
        "floor, CPU ms",
        "model server, CPU ms",
        "gateway, CPU ms",
        "both over model and floor",
        "model alone with its own threads, CPU ms",
        "both over that and floor",
        "images a second",
        "model alone, a second",
        "load generator, CPU ms",
    ]
    return Section(
        "With the model behind it",
        [
            "The exported SSD (MobileNet V1, width 0.75, 300 x 300) through HTTP, the gateway and the local "
            "model server, set as in the CPU image, over the same SavedModel called in process by as many "
            "callers, and the floor of a request. The model alone has one thread for an op, as the image has "
            "(docs/decisions/0026), and beside it as many as TensorFlow chooses by itself. "
            f"The picture has {found} boxes above the threshold.",
            Table(header, rows),
            f"One client's request takes {summarise(through)} ms (p50), the model in process "
            f"{summarise(inside)} ms: the way adds {added.median:.1f} ms, {part:.0f} %.",
        ],
        aims,
        {**data, "added_ms": added},
    )
