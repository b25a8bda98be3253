"""The model called in process, with nothing around it: what the way through HTTP and gRPC is compared with.

The process stays up between rounds.

    python -m bench.model_alone VERSION_FOLDER PICTURE [THREADS]

`{"turns": 40, "callers": 1}` on a line -> JSON on a line. THREADS are those that share one op, all cores' if
none are given; they are the process's, so that another number takes another process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench.null_serving import SIDE
from bench.rounds import percentile
from sightline.geometry import Stretch
from sightline.images import decode


def main() -> None:
    """Answer requests to measure, a line each, until the input ends."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from bench.peers.predictor import load_model

    answers = sys.stdout
    run = load_model(Path(sys.argv[1]), threads=int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    picture = decode(Path(sys.argv[2]).read_bytes(), at_least=(SIDE, SIDE))
    pixels = Stretch(SIDE, SIDE).apply(picture.pixels)[np.newaxis]

    def timed(_: int) -> float:
        begun = time.perf_counter()
        run(pixels)
        return (time.perf_counter() - begun) * 1000

    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        with ThreadPoolExecutor(asked["callers"]) as callers:
            list(callers.map(timed, range(2 * asked["callers"])))
            cpu, begun = time.process_time(), time.perf_counter()
            latencies = list(callers.map(timed, range(asked["turns"])))
            seconds = time.perf_counter() - begun
            cpu = time.process_time() - cpu
        told = {
            "cpu_ms": cpu * 1000 / asked["turns"],
            "p50_ms": percentile(latencies, 0.5),
            "per_second": asked["turns"] / seconds,
        }
        print(json.dumps(told), file=answers, flush=True)


if __name__ == "__main__":
    main()
