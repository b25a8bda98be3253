"""The model on a GPU: alone by batch size, and behind the gateway and the model server."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bench.answers import ask
from bench.bodies import load_of
from bench.lines.efficiency import PATH
from bench.lines.model_bound import exported
from bench.machine import gpu
from bench.measuring import Sample, helper, send
from bench.model import NAME
from bench.model_batches import ALL, ALONE, SERVED
from bench.pictures import USUAL
from bench.plots import lines
from bench.report import Section, Table
from bench.rounds import summarise
from bench.run import Run
from bench.servers import gateway, model_server

_BATCHES: Final = (1, 2, 4, 8, 16, 32, 64)
_LARGEST: Final = 32  # of the GPU's batching.config
_CLIENTS: Final = (1, 4, 16, 64, 128, 256)
_REQUESTS: Final = 1200
_ROUNDS: Final = 5
_ALONE_ROUNDS: Final = 3
_MOST_WORKERS: Final = 8
_ON_CPUS: Final = {"CUDA_VISIBLE_DEVICES": "-1"}
_CLUSTERED: Final = "as served, clusters compiled by XLA"
_CLUSTERS: Final = {"TF_XLA_FLAGS": "--tf_xla_auto_jit=2"}
_SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {SERVED: {}, _CLUSTERED: _CLUSTERS}  # variables of each
_SURE: Final = 0.3  # the score from which a box is compared
_SAME: Final = 0.01  # of a side, and of a score

Told = dict[str, Any]


def measure(run: Run) -> Section:
    """Line 9: on a GPU. Where there is none, the same on CPUs, which says nothing of GPUs."""
    version, picture = exported(), run.bodies[USUAL.name].picture
    sizes = [str(size) for size in _BATCHES]
    told = []
    with (
        helper("bench.model_batches", version, picture, ALL, *sizes) as model,
        helper("bench.model_batches", version, picture, ALONE, *sizes, environment=_CLUSTERS) as clustered,
    ):
        for number in range(run.rounds(_ALONE_ROUNDS)):
            run.tell(f"gpu: the model alone, round {number + 1}")
            told.append(model.ask())
            beside = clustered.ask()
            told[-1]["taken"][_CLUSTERED] = beside["taken"][SERVED]
    with helper("bench.model_batches", version, picture, ALONE, "1", environment=_ON_CPUS) as model:
        run.tell("gpu: the same picture on CPUs")
        on_cpus = model.ask()
    chains = {name: _served(run, name) for name in _SETTINGS}
    alone = {
        name: {size: _middle([one["taken"][name][size] for one in told]) for size in sizes}
        for name in told[0]["taken"]
    }
    best = max(statistics.median(s.per_second for s in taken) for taken in chains[SERVED].taken.values())
    batch = alone[SERVED][str(_LARGEST)]
    batches: list[list[object]] = [
        [name, int(size), figures["batch_ms"], figures["per_second"], figures["cpu_ms"]]
        for name, by_size in alone.items()
        for size, figures in by_size.items()
    ]
    speed = {
        f"model alone, by batch, {name}": [(int(n), taken["per_second"]) for n, taken in alone[name].items()]
        for name in _SETTINGS
    } | {
        f"HTTP to boxes, by clients, {name}": [
            (clients, statistics.median(s.per_second for s in taken))
            for clients, taken in chain.taken.items()
        ]
        for name, chain in chains.items()
    }
    return Section(
        "On a GPU",
        [
            f"The exported SSD on {gpu() or 'CPUs (no GPU here)'}, called in process with one batch after "
            "the other, pixels from the host's memory and boxes back in it. Suppression has no kernel for "
            "GPUs in TensorFlow: it runs on the host.",
            Table(["", "batch", "ms a batch", "images a second", "host CPU ms an image"], batches),
            *(f"Not to be had here: {name}: {why}." for name, why in told[0]["failed"].items()),
            _agreement("the GPU", told[0]["found"], on_cpus["found"]),
            _agreement("the GPU, with XLA,", beside["found"], on_cpus["found"]),
            f"Through HTTP, the gateway ({_workers()} workers) and the local model server with the GPU "
            f"image's settings (batches of up to {_LARGEST}, 2 ms), 1280x720 pictures, clients in a "
            f"closed loop, all on this machine's {os.cpu_count()} cores:",
            _served_table(chains),
            lines(run.out / "gpu.png", speed, x="batch, or clients", y="images a second", log_x=True),
            f"At most {best:.0f} images a second came out of the whole chain, where batches of {_LARGEST} in "
            f"process give {batch['per_second']:.0f}: what is between them is most likely the local "
            "model server's Python, which the official server has not. R in docs/deploy.md lies between the "
            f"two. The model server's process holds {chains[SERVED].host_mib:.0f} MiB of host memory; its "
            f"answer to the picture has {chains[SERVED].found} boxes above the threshold.",
        ],
        data={
            "alone": alone,
            "served": {
                name: {
                    clients: {
                        "per_second": summarise([s.per_second for s in taken]),
                        "p50_ms": summarise([s.p50_ms for s in taken]),
                        "p99_ms": summarise([s.p99_ms for s in taken]),
                        "gateway_cpu_ms": summarise([s.cpu_ms[0] for s in taken]),
                        "model_server_cpu_ms": summarise([s.cpu_ms[1] for s in taken]),
                    }
                    for clients, taken in chain.taken.items()
                }
                for name, chain in chains.items()
            },
            "failed": told[0]["failed"],
            "host_memory_mib": chains[SERVED].host_mib,
        },
    )


class _Chain(NamedTuple):
    """HTTP to boxes under one setting."""

    taken: dict[int, list[Sample]]  # by clients
    host_mib: float  # MiB of host memory that the model server holds
    found: int  # boxes in the picture


def _workers() -> int:
    return max(1, min(_MOST_WORKERS, (os.cpu_count() or 2) // 2))


def _served(run: Run, setting: str) -> _Chain:
    body = run.bodies[USUAL.name]
    taken: dict[int, list[Sample]] = {clients: [] for clients in _CLIENTS}
    with (
        model_server(NAME, exported().parent, _SETTINGS[setting]) as server,
        gateway(server, NAME, workers=str(_workers()), max_in_flight="256") as front,
    ):
        found = len(ask(front, PATH, body)["detections"])
        loads = {
            clients: load_of(
                front,
                PATH,
                body,
                clients=clients,
                requests=run.requests(_REQUESTS) if clients > 4 else run.requests(_REQUESTS) // 4,
            )
            for clients in _CLIENTS
        }
        for load in loads.values():  # the model meets every size of a batch
            send(load, [])
        for number in range(run.rounds(_ROUNDS)):
            run.tell(f"gpu: HTTP to boxes, {setting}, round {number + 1}")
            for clients, load in loads.items():
                taken[clients].append(send(load, [front, server]))
        memory = server.tree.memory().proportional
    return _Chain(taken, memory / 2**20, found)


def _served_table(chains: Mapping[str, _Chain]) -> Table:
    return Table(
        [
            "",
            "clients",
            "images a second",
            "p50, ms",
            "p99, ms",
            "gateway, CPU ms",
            "model server, CPU ms",
            "load generator, CPU ms",
        ],
        [
            [
                name,
                clients,
                summarise([s.per_second for s in taken]),
                statistics.median(s.p50_ms for s in taken),
                statistics.median(s.p99_ms for s in taken),
                summarise([s.cpu_ms[0] for s in taken]),
                summarise([s.cpu_ms[1] for s in taken]),
                statistics.median(s.own_cpu_ms for s in taken),
            ]
            for name, chain in chains.items()
            for clients, taken in chain.taken.items()
        ],
    )


def _middle(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def _agreement(who: str, here: Told, there: Told) -> str:
    """Whether the sure boxes of two devices are the same."""
    ours, theirs = (
        [
            (kind, score, box)
            for box, score, kind in zip(
                found["detection_boxes"],
                found["detection_scores"],
                found["detection_classes"],
                strict=True,
            )
            if score >= _SURE
        ]
        for found in (here, there)
    )
    alike = sum(
        any(
            kind == other
            and abs(score - beside) < _SAME
            and max(abs(a - b) for a, b in zip(box, place, strict=True)) < _SAME
            for other, beside, place in theirs
        )
        for kind, score, box in ours
    )
    return (
        f"Of the {len(ours)} boxes with a score of {_SURE} or more that {who} found in the picture, "
        f"{alike} are among the {len(theirs)} of the CPU (sides and score within {_SAME})."
    )
