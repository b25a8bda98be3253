"""What the model itself costs, and what would make it cheaper."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

from bench.lines.model_bound import exported
from bench.measuring import LoadError
from bench.model_variants import SUPPRESSION
from bench.pictures import USUAL
from bench.report import Aim, Section, Table
from bench.rounds import ratio, summarise
from bench.run import Run
from bench.servers import REPOSITORY

_ROUNDS: Final = 9
_SERVED: Final = "as served: TensorFlow's own threads"
_SUPPRESSION_AIM: Final = 0.10  # of the model


def measure(run: Run) -> Section:
    """Line 5: the model itself."""
    version = exported()
    run.tell("the model, variant by variant")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench.model_variants",
            version,
            run.bodies[USUAL.name].picture,
            str(run.rounds(_ROUNDS)),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LoadError(f"the model's variants: {done.stderr.strip().splitlines()[-1]}")
    taken = json.loads(done.stdout.splitlines()[-1])
    cpu = {name: [one["cpu_ms"] for one in rounds] for name, rounds in taken.items()}
    rows = [
        [name, summarise(used), ratio(used, cpu[_SERVED]), summarise([one["wall_ms"] for one in taken[name]])]
        for name, used in cpu.items()
    ]
    part = ratio(cpu[SUPPRESSION], cpu[_SERVED]).median
    return Section(
        "The model itself",
        [
            "SSD MobileNet V1, width 0.75, 300 x 300, two classes, as the training package exports "
            "it, on one picture.",
            Table(["", "CPU ms an image", "over as served", "wall ms an image"], rows),
            "bfloat16 is cheaper only on CPUs with instructions for it (avx512_bf16, amx_bf16) and dearer on "
            "others, so it is no default (docs/decisions/0023).",
            f"Suppression takes {100 * part:.0f} % of the model's CPU time.",
        ],
        [Aim("suppression, part of the model's CPU", part, _SUPPRESSION_AIM)],
        {name: summarise(used) for name, used in cpu.items()},
    )
