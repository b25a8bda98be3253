"""How cost grows with concurrency, detections and models; and the queueing model."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Sequence
from typing import Final

from bench.bodies import load_of
from bench.lines.efficiency import PATH
from bench.load import Load
from bench.machine import few_cores
from bench.measuring import Sample, send
from bench.null_serving import MODEL
from bench.pictures import USUAL
from bench.plots import lines
from bench.queueing import Point, Station, fit, replicas
from bench.report import Aim, Section, Table
from bench.run import Run
from bench.servers import Server, gateway, null_serving

_CLIENTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_DETECTIONS: Final = (0, 10, 50, 100)
_MODELS: Final = (1, 4, 16, 64)
_REQUESTS: Final = 300
_FITTED: Final = (0.2, 0.4, 0.5, 0.7)  # of the throughput of a closed loop
_HELD_OUT: Final = 0.6  # not used for the fit
_SECONDS: Final = 4.0  # of each load with a rate
_RATE_ROUNDS: Final = 9
_ROUNDS: Final = 3
_ERROR_AIM: Final = 0.25  # of the predicted latency


def measure(run: Run) -> Section:
    """Line 6: growth, on two cores wherever it is: two workers and what asks them fill no more."""
    with few_cores() as cores:
        return _measure(run, cores)


def _measure(run: Run, cores: int) -> Section:
    with null_serving() as null, gateway(null, MODEL, max_in_flight="256") as front:
        send(_load(run, front, clients=16), [])
        concurrency = _concurrency(run, front, null)
        peak = max(sample.per_second for sample in concurrency.values())
        points = _rates(run, front, null, peak)
    detections = _detections(run)
    models = _models(run)
    parts, station, aim = _queueing(run, points, cores)
    return Section(
        "How cost grows",
        [
            *_concurrency_parts(run, concurrency, cores),
            "Boxes in a picture (8 clients):",
            Table(["boxes", "gateway, CPU ms"], [[count, used] for count, used in detections.items()]),
            "Models asked in turn through one gateway (8 clients); each is known by its card, read once:",
            Table(
                ["models", "gateway, CPU ms", "memory, MiB"], [[n, *figures] for n, figures in models.items()]
            ),
            *parts,
        ],
        [aim],
        {
            "concurrency": {
                n: [s.cpu_ms[0], s.per_second, s.p50_ms, s.p99_ms] for n, s in concurrency.items()
            },
            "detections": detections,
            "models": models,
            "station": {"demand": station.demand, "rest": station.rest, "variability": station.variability},
        },
    )


def _load(run: Run, front: Server, *, clients: int = 8, path: str = PATH, requests: int = _REQUESTS) -> Load:
    count = max(run.requests(requests), 2 * clients)
    return load_of(front, path, run.bodies[USUAL.name], clients=clients, requests=count)


def _concurrency(run: Run, front: Server, null: Server) -> dict[int, Sample]:
    measured = {}
    for clients in _CLIENTS:
        run.tell(f"growth: {clients} clients")
        measured[clients] = send(_load(run, front, clients=clients), [front, null])
    return measured


def _concurrency_parts(run: Run, measured: dict[int, Sample], cores: int) -> list[str | Table]:
    rows = [[n, s.cpu_ms[0], s.per_second, s.p50_ms, s.p99_ms] for n, s in measured.items()]
    speed = {"answers a second": [(n, s.per_second) for n, s in measured.items()]}
    waits = {
        "p50": [(n, s.p50_ms) for n, s in measured.items()],
        "p99": [(n, s.p99_ms) for n, s in measured.items()],
    }
    best = max(s.per_second for s in measured.values())
    knee = min(n for n, s in measured.items() if s.per_second >= 0.9 * best)
    return [
        f"All on {cores} cores. Clients that each send their next request when the last is answered, "
        "1280x720, a Serving that answers at once:",
        Table(["clients", "gateway, CPU ms", "answers a second", "p50, ms", "p99, ms"], rows),
        lines(run.out / "throughput.png", speed, x="clients", y="answers a second", log_x=True),
        lines(run.out / "latency.png", waits, x="clients", y="latency, ms", log_x=True, log_y=True),
        f"The knee is at {knee} clients: that many keep all {cores} cores busy (the load "
        "generator and the "
        "null Serving share them). Beyond it throughput stays, and each further client only waits: "
        "latency grows in "
        "proportion, as Little's law has it. The gateway works on 8 pictures at once in each worker "
        "and lets the "
        "others wait, so that memory and CPU per request do not grow with the queue.",
    ]


def _detections(run: Run) -> dict[int, float]:
    used: dict[int, list[float]] = {count: [] for count in _DETECTIONS}
    with contextlib.ExitStack() as stack:
        fronts = {}
        for count in _DETECTIONS:
            null = stack.enter_context(null_serving(count))
            fronts[count] = stack.enter_context(gateway(null, MODEL))
            send(_load(run, fronts[count], requests=60), [])
        for number in range(run.rounds(_ROUNDS)):
            run.tell(f"growth: boxes, round {number + 1}")
            for count, front in fronts.items():
                used[count].append(send(_load(run, front), [front]).cpu_ms[0])
    return {count: statistics.median(taken) for count, taken in used.items()}


def _models(run: Run) -> dict[int, tuple[float, float]]:
    measured = {}
    with null_serving() as null:
        for count in _MODELS:
            run.tell(f"growth: {count} models")
            with gateway(null, MODEL) as front:
                samples = []
                for number in range(count):
                    path = f"/v1/models/{MODEL}-{number}:detect"
                    send(_load(run, front, path=path, requests=16), [])
                for number in range(count):
                    path = f"/v1/models/{MODEL}-{number}:detect"
                    load = _load(run, front, path=path, requests=max(16, _REQUESTS // count))
                    samples.append(send(load, [front]).cpu_ms[0])
                measured[count] = (statistics.mean(samples), front.tree.memory().proportional / 2**20)
    return measured


def _rates(run: Run, front: Server, null: Server, peak: float) -> dict[float, Point]:
    """Poisson arrivals at parts of the peak; CPU is of all that shares the cores, the generator included."""
    taken: dict[float, list[Point]] = {part: [] for part in (*_FITTED, _HELD_OUT)}
    for number in range(run.rounds(_RATE_ROUNDS)):
        for part, points in taken.items():
            run.tell(f"growth: arrivals at {part:.0%} of the closed loop's throughput, round {number + 1}")
            load = load_of(
                front,
                PATH,
                run.bodies[USUAL.name],
                clients=64,
                seconds=_SECONDS / 2 if run.quick else _SECONDS,
                rate=part * peak,
                seed=number,
            )
            sample = send(load, [front, null])
            cpu = (sample.total_cpu_ms + sample.own_cpu_ms) / 1000
            points.append(Point(sample.per_second, cpu, sample.mean_ms / 1000))
    return {part: _middle(points) for part, points in taken.items()}


def _middle(points: Sequence[Point]) -> Point:
    """The median of each number."""
    return Point(
        statistics.median(point.rate for point in points),
        statistics.median(point.cpu for point in points),
        statistics.median(point.latency for point in points),
    )


def _queueing(run: Run, points: dict[float, Point], cores: int) -> tuple[list[str | Table], Station, Aim]:
    held = points[_HELD_OUT]
    station = fit([points[part] for part in _FITTED], cores)
    predicted = station.latency(held.rate)
    off = abs(predicted / held.latency - 1)
    rows = [
        [
            f"{part:.0%}",
            point.rate,
            point.cpu * 1000,
            point.latency * 1000,
            station.latency(point.rate) * 1000,
            "held out" if part == _HELD_OUT else "fitted",
        ]
        for part, point in sorted(points.items())
    ]
    curve = [(rate, station.latency(rate) * 1000) for rate in _steps(0.95 * station.capacity)]
    plot = lines(
        run.out / "queueing.png",
        {
            "model": curve,
            "measured, fitted": [(points[part].rate, points[part].latency * 1000) for part in _FITTED],
            "measured, held out": [(held.rate, held.latency * 1000)],
        },
        x="requests a second",
        y="mean latency, ms",
    )
    wanted = 1000.0
    number = replicas(wanted, station, 4 * station.latency(0))
    return (
        [
            "Poisson arrivals at fixed rates, and a queueing model (bench/queueing.py: M/G/c, Allen "
            "and Cunneen) fitted "
            "to all but one of them:",
            Table(["load", "a second", "CPU ms, all", "latency, ms", "model, ms", ""], rows),
            plot,
            f"Fitted: {station.demand * 1000:.2f} CPU ms a request on {cores} cores, "
            f"{station.rest * 1000:.1f} ms that "
            f"no load changes, variability {station.variability:.2f}; capacity {station.capacity:.0f} "
            "a second. The load "
            f"that was held out was predicted at {predicted * 1000:.1f} ms and measured at "
            f"{held.latency * 1000:.1f} ms. "
            f"For {wanted:.0f} requests a second at four times the idle latency it asks for {number} "
            "such machines. "
            "For a model server, the demand is the model's CPU ms an image; on a GPU it is the "
            "batch's time over its "
            "size, with one server to the queue.",
        ],
        station,
        Aim("queueing model, error on the load held out", off, _ERROR_AIM),
    )


def _steps(end: float, count: int = 40) -> list[float]:
    return [end * (step + 1) / count for step in range(count)]
