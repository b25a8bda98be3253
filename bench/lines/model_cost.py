"""What the model itself costs, and what would make it cheaper."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from bench.lines.model_bound import exported
from bench.measuring import helper
from bench.model_variants import SERVED, SUPPRESSION
from bench.pictures import USUAL
from bench.report import Aim, Section, Table
from bench.rounds import ratio, summarise
from bench.run import Run

_ROUNDS: Final = 9
_TURNS: Final = 12  # images a round
_THREADS: Final = {"one thread": 1, "two threads": 2}  # each in a process of its own
_SUPPRESSION_AIM: Final = 0.10  # of the model


def measure(run: Run) -> Section:
    """Line 5: the model itself."""
    version = exported()
    picture = run.bodies[USUAL.name].picture
    taken: dict[str, list[dict[str, float]]] = {}
    with ExitStack() as running:
        alone = {
            name: running.enter_context(helper("bench.model_alone", version, picture, str(threads)))
            for name, threads in _THREADS.items()
        }
        variants = running.enter_context(helper("bench.model_variants", version, picture))
        rounds = run.rounds(_ROUNDS)
        for number in range(rounds):
            run.tell(f"the model, variant by variant: round {number + 1} of {rounds}")
            for name, model in alone.items():
                told = model.ask(turns=_TURNS, callers=1)
                taken.setdefault(name, []).append({"cpu_ms": told["cpu_ms"], "wall_ms": told["p50_ms"]})
            for name, told in variants.ask().items():
                taken.setdefault(name, []).append(told)
    cpu = {name: [one["cpu_ms"] for one in rounds] for name, rounds in taken.items()}
    rows = [
        [name, summarise(used), ratio(used, cpu[SERVED]), summarise([one["wall_ms"] for one in taken[name]])]
        for name, used in cpu.items()
    ]
    part = ratio(cpu[SUPPRESSION], cpu[SERVED]).median
    return Section(
        "The model itself",
        [
            "SSD MobileNet V1, width 0.75, 300 x 300, two classes, as the training package exports "
            "it, on one picture; with TensorFlow's own threads, one for each core, unless a number is named.",
            Table(["", "CPU ms an image", "over as served", "wall ms an image"], rows),
            "bfloat16 is cheaper only on CPUs with instructions for it (avx512_bf16, amx_bf16) and dearer on "
            "others, so it is no default (docs/decisions/0023).",
            f"Suppression takes {100 * part:.0f} % of the model's CPU time.",
        ],
        [Aim("suppression, part of the model's CPU", part, _SUPPRESSION_AIM)],
        {name: summarise(used) for name, used in cpu.items()},
    )
