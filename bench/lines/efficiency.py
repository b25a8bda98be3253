"""What a request costs in the gateway, over the parts that nobody can leave out."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from bench.answers import ask, must_agree
from bench.bodies import load_of
from bench.floor import PARTS, answer
from bench.measuring import Helper, Sample, helper, send
from bench.null_serving import MODEL
from bench.report import Aim, Section, Table
from bench.rounds import Summary, ratio, summarise
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


class _Picture:
    """One picture through the gateway, and the floor before and after it, round by round."""

    def __init__(self, run: Run, name: str, servers: Sequence[Server], floor: Helper) -> None:
        body = run.bodies[name]
        requests = run.requests(_REQUESTS[name])
        self._load = load_of(servers[0], PATH, body, clients=_CLIENTS, requests=requests)
        self._servers = servers
        self._floor = partial(floor.ask, picture=str(body.picture), turns=requests // 4)
        self.parts: list[dict[str, float]] = []
        self.bottoms: list[float] = []  # CPU ms of a request
        self.samples: list[Sample] = []
        send(replace(self._load, requests=_WARM_UP), [])

    def measure(self) -> None:
        """A round."""
        before = self._floor()
        self.samples.append(send(self._load, self._servers))
        around = [before, self._floor()]
        self.parts += around
        self.bottoms.append(statistics.fmean(sum(parts.values()) for parts in around))

    def of(self, figure: Callable[[Sample], float]) -> Summary:
        """A figure of the rounds."""
        return summarise([figure(sample) for sample in self.samples])

    def over(self) -> Summary:
        """How many times the floor the gateway costs."""
        return ratio([sample.cpu_ms[0] for sample in self.samples], self.bottoms)


def measure(run: Run) -> Section:
    """Line 1: gateway efficiency."""
    with null_serving() as null, gateway(null, MODEL) as server:
        _check(run, server)
        with helper("bench.floor", f"{null.host}:{null.port}") as floor:
            pictures = {name: _Picture(run, name, [server, null], floor) for name in _REQUESTS}
            for number in range(rounds := run.rounds(_ROUNDS)):
                run.tell(f"gateway over floor: round {number + 1} of {rounds}")
                # All pictures in each round: a minute in which the machine is slow meets all of them.
                for picture in pictures.values():
                    picture.measure()
    rows: list[list[object]] = []
    data: dict[str, dict[str, Any]] = {}
    aims = []
    for name, picture in pictures.items():
        used, over = picture.of(lambda sample: sample.cpu_ms[0]), picture.over()
        rows.append(
            [
                name,
                summarise(picture.bottoms),
                used,
                over,
                picture.of(lambda sample: sample.cpu_ms[1]).median,
                picture.of(lambda sample: sample.own_cpu_ms).median,
                picture.of(lambda sample: sample.per_second),
                picture.of(lambda sample: sample.p50_ms).median,
            ]
        )
        data[name] = {
            "floor": {part: summarise([one[part] for one in picture.parts]) for part in PARTS},
            "gateway": used,
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
            "The whole gateway (HTTP in, decode, resize, gRPC to a Serving that answers at once, JSON out) "
            "over the sum of the unavoidable parts, measured alone before and after it in each round. "
            "`form` and `exif` are the 1280x720 picture as a multipart form, and as stored by a camera held "
            "sideways. Every answer had the same boxes, and the turned picture the upright size.",
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
