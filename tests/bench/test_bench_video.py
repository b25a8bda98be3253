from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.videos import write_video

from bench.lines.video import Taken, Watched
from bench.servers import REPOSITORY
from bench.video_decode import LOOP, RESIZED

FRAMES = 12


def test_the_difference_of_two_films_leaves_out_what_a_start_costs() -> None:
    """A start of 0.3 s and 0.2 CPU seconds, then 100 frames a second at 20 CPU ms."""
    short, long = Taken(10, 0.2 + 0.2, 0.3 + 0.1), Taken(510, 0.2 + 10.2, 0.3 + 5.1)
    watched = Watched(short, long)
    assert watched.cpu_ms == pytest.approx(20)
    assert watched.per_second == pytest.approx(100)
    assert watched.start_ms == pytest.approx(300)


def test_both_ways_of_decoding_see_every_frame(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", FRAMES)
    asked = "".join(json.dumps({"way": way}) + "\n" for way in (LOOP, RESIZED))
    done = subprocess.run(
        [sys.executable, "-m", "bench.video_decode", film],
        input=asked,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=60,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["frames"] for one in told] == [FRAMES, FRAMES]
    assert all(one["seconds"] > 0 and one["cpu_seconds"] > 0 for one in told)
