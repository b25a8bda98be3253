"""The same model and pictures behind other servers, side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.answers import ask, must_agree
from bench.bodies import load_of
from bench.contenders import PEERS, install, start
from bench.lines.efficiency import PATH
from bench.lines.model_bound import exported
from bench.measuring import Sample, send
from bench.model import NAME
from bench.null_serving import MODEL
from bench.report import Aim, Section, Table
from bench.rounds import Rounds, ratio, summarise
from bench.run import Run
from bench.servers import Server, gateway, model_server, null_serving

OURS: Final = "sightline"
_AIMED_AT: Final = ("litserve", "bentoml")
_CLIENTS: Final = 8
_ROUNDS: Final = 9
_REQUESTS: Final = {"null": 150, "model": 48}
_WARM_UP: Final = 40

Contender = tuple[list[Server], str]  # the server that is asked first, and the path


def measure(run: Run) -> Section:
    """Line 2: peers."""
    version = exported()
    for peer in PEERS:
        run.tell(f"environment of {peer.name}")
        install(peer, with_tensorflow=True)
    parts: list[str | Table] = [
        "Each peer as its own guide recommends, in its own environment, with two workers on the same "
        "cores, asked for "
        "the 1280x720 picture as a multipart form by eight clients at once. They open the picture as "
        "their guides do, with "
        "Pillow; `+ our decoder` are the same servers given Sightline's decoder and allocator "
        "settings, so that only "
        "the server differs (a model in process also saves them the gRPC call). Sightline is the "
        "gateway and what stands behind it, added up: a Serving "
        "without a model, or the local model server, which gives each picture one core as the CPU image "
        "does; the peers leave threads to TensorFlow, as their guides do. All of them found the same boxes "
        "in a PNG of the model's input size, which every decoder reads alike."
    ]
    aims: list[Aim] = []
    data: dict[str, Any] = {}
    for kind, model in (("null", None), ("model", version)):
        table, figures = _side_by_side(run, kind, model)
        parts += ["With a model that answers at once:" if model is None else "With the exported SSD:", table]
        data[kind] = figures
        for peer_name in _AIMED_AT:
            if model is None:
                what = f"CPU of {peer_name} over Sightline's, null model"
                aims.append(Aim(what, figures[peer_name]["cpu_over_ours"].median, 2.0, at_most=False))
            else:
                what = f"images a second over {peer_name}'s, real model"
                aims.append(Aim(what, figures[peer_name]["ours_faster"].median, 1.0, at_most=False))
                what = f"memory over {peer_name}'s, real model"
                aims.append(Aim(what, figures[OURS]["memory"] / figures[peer_name]["memory"], 1.0))
    return Section("Beside its peers", parts, aims, data)


def _side_by_side(run: Run, kind: str, model: Path | None) -> tuple[Table, dict[str, Any]]:
    body = run.bodies["form"]
    with contextlib.ExitStack() as stack:
        contenders = _start_all(stack, model)
        expected = None
        for name, (servers, path) in contenders.items():
            answer = ask(servers[0], path, run.bodies["lossless"])  # whose boxes do not hang on the decoder
            expected = expected or answer
            must_agree(name, answer, expected)
        loads = {
            name: load_of(servers[0], path, body, clients=_CLIENTS, requests=run.requests(_REQUESTS[kind]))
            for name, (servers, path) in contenders.items()
        }
        for load in loads.values():
            send(load, [])
        measured: Rounds[Sample] = Rounds(
            {name: partial(send, loads[name], servers) for name, (servers, _) in contenders.items()}
        )
        measured.run(run.rounds(_ROUNDS), lambda words: run.tell(f"peers, {kind}: {words}"))
        memory = {
            name: sum(server.tree.memory().proportional for server in servers)
            for name, (servers, _) in contenders.items()
        }
    return _table(measured, memory)


def _start_all(stack: contextlib.ExitStack, model: Path | None) -> dict[str, Contender]:
    if model is None:
        behind = stack.enter_context(null_serving())
        front = stack.enter_context(gateway(behind, MODEL))
    else:
        behind = stack.enter_context(model_server(NAME, model.parent))
        front = stack.enter_context(gateway(behind, NAME))
    contenders: dict[str, Contender] = {OURS: ([front, behind], PATH)}
    for peer in PEERS:
        contenders[peer.name] = ([stack.enter_context(start(peer, model))], peer.path)
        if model is None:
            same = stack.enter_context(start(peer, model, our_decoder=True))
            contenders[f"{peer.name} + our decoder"] = ([same], peer.path)
    return contenders


def _table(measured: Rounds[Sample], memory: dict[str, int]) -> tuple[Table, dict[str, Any]]:
    ours_cpu = measured.of(OURS, lambda sample: sample.total_cpu_ms)
    ours_speed = measured.of(OURS, lambda sample: sample.per_second)
    rows: list[Sequence[object]] = []
    figures: dict[str, Any] = {}
    for name in measured.samples:
        used = measured.of(name, lambda sample: sample.total_cpu_ms)
        speed = measured.of(name, lambda sample: sample.per_second)
        figures[name] = {
            "cpu_ms": summarise(used),
            "per_second": summarise(speed),
            "memory": memory[name],
            "cpu_over_ours": ratio(used, ours_cpu),
            "ours_faster": ratio(ours_speed, speed),
        }
        rows.append(
            [
                name,
                summarise(used),
                ratio(used, ours_cpu),
                summarise(speed),
                summarise(measured.of(name, lambda sample: sample.p50_ms)).median,
                summarise(measured.of(name, lambda sample: sample.p99_ms)).median,
                memory[name] / 2**20,
                summarise(measured.of(name, lambda sample: sample.own_cpu_ms)).median,
            ]
        )
    header = [
        "",
        "CPU ms an image",
        "over Sightline's",
        "images a second",
        "p50, ms",
        "p99, ms",
        "memory, MiB",
        "load generator, CPU ms",
    ]
    return Table(header, rows), figures
