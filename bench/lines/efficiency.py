"""What a request costs in the gateway, over the parts that nobody can leave out."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from typing import Any, Final

from bench.answers import ask, must_agree
from bench.bodies import load_of
from bench.floor import PARTS, answer
from bench.measuring import Sample, helper, send
from bench.null_serving import MODEL
from bench.report import Aim, Section, Table
from bench.rounds import Rounds, ratio, summarise
from bench.run import Run
from bench.servers import Server, gateway, null_serving

PATH: Final = "/v1/detect"
RAW_AIM, FORM_AIM = 1.35, 1.6  # times the floor
_CLIENTS: Final = 4  # two for each worker
_ROUNDS: Final = 11
# In a round: CPU times come in hundredths of a second for each process, which a few requests would show.
_REQUESTS: Final = {
    "640x480": 400,
    "1280x720": 400,
    "1920x1080": 240,
    "4000x3000": 80,
    "form": 400,
    "exif": 400,
}
_WARM_UP: Final = 40  # requests; every thread has decoded a picture by then


def measure(run: Run) -> Section:
    """Line 1: gateway efficiency."""
    with null_serving() as null, gateway(null, MODEL) as server:
        _check(run, server)
        rows: list[list[object]] = []
        data: dict[str, dict[str, Any]] = {}
        aims = []
        with helper("bench.floor", f"{null.host}:{null.port}") as floor:
            for name, requests in _REQUESTS.items():
                body = run.bodies[name]
                run.tell(f"gateway over floor: {name}")
                load = load_of(server, PATH, body, clients=_CLIENTS, requests=run.requests(requests))
                send(replace(load, requests=_WARM_UP), [])
                turns = run.requests(requests) // 4
                floors = [floor.ask(picture=str(body.picture), turns=turns)]
                rounds: Rounds[Sample] = Rounds({"gateway": partial(send, load, [server, null])})
                for _ in range(run.rounds(_ROUNDS)):
                    rounds.run(1)
                    floors.append(floor.ask(picture=str(body.picture), turns=turns))
                around = itertools.pairwise(sum(parts.values()) for parts in floors)
                bottom = [(before + after) / 2 for before, after in around]
                used = rounds.of("gateway", lambda sample: sample.cpu_ms[0])
                over = ratio(used, bottom)
                rows.append(
                    [
                        name,
                        summarise(bottom),
                        summarise(used),
                        over,
                        summarise(rounds.of("gateway", lambda sample: sample.cpu_ms[1])).median,
                        summarise(rounds.of("gateway", lambda sample: sample.own_cpu_ms)).median,
                        summarise(rounds.of("gateway", lambda sample: sample.per_second)),
                        summarise(rounds.of("gateway", lambda sample: sample.p50_ms)).median,
                    ]
                )
                data[name] = {
                    "floor": {part: summarise([one[part] for one in floors]) for part in PARTS},
                    "gateway": summarise(used),
                    "ratio": over,
                }
                if name in ("1280x720", "form"):
                    limit = FORM_AIM if name == "form" else RAW_AIM
                    what = "multipart form" if name == "form" else "raw body"
                    aims.append(Aim(f"gateway CPU over the floor, 1280x720, {what}", over.median, limit))
    header = [
        "picture",
        "floor, CPU ms",
        "gateway, CPU ms",
        "ratio",
        "null Serving, CPU ms",
        "load generator, CPU ms",
        "answers a second",
        "p50, ms",
    ]
    parts = Table(
        ["picture", *PARTS],
        [[name, *(figures["floor"][part] for part in PARTS)] for name, figures in data.items()],
    )
    return Section(
        "The gateway over the floor",
        [
            "The whole gateway (HTTP in, decode, resize, gRPC to a Serving that answers at once, "
            "JSON out) over the "
            "sum of the unavoidable parts, measured alone before and after. `form` and `exif` are "
            "the 1280x720 "
            "picture as a multipart form, and as stored by a camera held sideways. Every answer had "
            "the same boxes, "
            "and the turned picture the upright size.",
            Table(header, rows),
            "The floor's parts, CPU ms:",
            parts,
        ],
        aims,
        data,
    )


def _check(run: Run, server: Server) -> None:
    for name in _REQUESTS:
        body = run.bodies[name]
        must_agree(f"the gateway, {name}", ask(server, PATH, body), answer(body.size.width, body.size.height))
