"""`python -m bench`: everything in one go, into bench/report.md.

A part that is measured is kept until the report is written: interrupted, or ended by a fault, the same
command goes on with the part that was under way.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench import machine
from bench.bodies import prepare
from bench.kept import Kept
from bench.lines import efficiency, gpu, growth, model_bound, model_cost, peers, startup, video
from bench.report import Section, write
from bench.run import Run
from bench.servers import REPOSITORY

LINES: Final[dict[str, Callable[[Run], Section]]] = {
    "efficiency": efficiency.measure,
    "model-bound": model_bound.measure,
    "peers": peers.measure,
    "video": video.measure,
    "model-cost": model_cost.measure,
    "growth": growth.measure,
    "startup": startup.measure,
    "gpu": gpu.measure,
}


def main() -> int:
    """0 when the report is written, whether or not its aims are reached; 130 when interrupted."""
    arguments = _parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are stopped on the way out
    run = Run(out=arguments.out, bodies=prepare(), quick=arguments.quick)
    run.out.mkdir(parents=True, exist_ok=True)
    kept = Kept(quick=run.quick)
    names = arguments.only or [name for name in LINES if name != "gpu" or machine.gpu()]
    try:
        for name in names:
            if name in kept:
                run.tell(f"{name}: kept from the run before")
            else:
                kept.add(name, LINES[name](run))
    except KeyboardInterrupt:
        print("interrupted; what was measured is kept, and the same command goes on", file=sys.stderr)
        return 130
    sections = [kept.take(name) for name in names]
    missing = [
        f"{name}: left out by --only"
        for name in LINES
        if arguments.only and name not in arguments.only and (name != "gpu" or machine.gpu())
    ]
    print(write(run.out, machine.describe(run.quick), sections, [*missing, *machine.not_measured()]))
    kept.clear()
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes: fewer rounds, fewer requests")
    parser.add_argument("--only", nargs="+", choices=list(LINES), help="these parts instead of all")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "bench", help="folder of report.md [bench]")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
