"""`sightline stream` for as long as you like, on a stream that is cut and returns.

    python -m bench.stream_soak --minutes 60        # writes build/bench/stream-soak.ndjson, rotating

It prints a line a minute: frames, drops, connections, memory, open files. The exit code is 1 if the
stream did not come back after a cut, or if memory or open files grew between the first third and the last.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from bench.null_serving import MODEL
from bench.servers import WORK, free_port, null_serving

OUT: Final = WORK / "stream-soak.ndjson"
FPS: Final = 25  # of the stream
UP, DOWN = 20.0, 3.0  # seconds that the stream is there, and away
LOOK: Final = 5.0  # seconds between looks at the process
RETURN_LIMIT: Final = 60.0  # seconds within which frames must have come again; the longest pause is 30
GROWTH_LIMIT: Final = 1.10  # memory of the last third over that of the first; a leak of a frame a cut is more
FILES_LIMIT: Final = 5  # open files more than in the first third
MIB: Final = 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the process."""

    seconds: float  # since the begin
    memory: int  # bytes, resident
    files: int  # open, sockets included
    frame: int  # the newest that was looked at
    dropped: int
    connections: int


@contextlib.contextmanager
def cut_stream(port: int) -> Iterator[str]:
    """HTTP MJPEG from ffmpeg, there for UP seconds and away for DOWN, again and again; gives the address."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise SystemExit("the soak's stream comes from ffmpeg, which is not on the path")
    address = f"http://127.0.0.1:{port}/soak.mjpg"
    picture = ["-re", "-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate={FPS}"]
    command = [ffmpeg, "-nostdin", "-loglevel", "quiet", *picture, "-f", "mpjpeg", "-listen", "1", address]
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            with subprocess.Popen(command) as process:
                stopping.wait(UP)
                process.kill()
            stopping.wait(DOWN)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield address
    finally:
        stopping.set()
        thread.join()


def soak(minutes: float) -> list[Look]:
    """Run the command for so long, and look at it now and then."""
    OUT.parent.mkdir(parents=True, exist_ok=True)
    for old in OUT.parent.glob(f"{OUT.name}*"):
        old.unlink()
    looks: list[Look] = []
    with cut_stream(free_port()) as address, null_serving() as serving:
        way = [
            "--serving",
            f"127.0.0.1:{serving.port}",
            "--model",
            MODEL,
            "--out",
            str(OUT),
            "--rotate-mb",
            "5",
        ]
        command = [sys.executable, "-m", "sightline.cli", "stream", address, *way, "--for", str(minutes * 60)]
        begun = said = time.monotonic()
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            watched = psutil.Process(process.pid)
            while process.poll() is None:
                time.sleep(LOOK)
                with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess, LookupError):
                    look = _look(watched, time.monotonic() - begun)
                    if look.memory:  # one that has just ended has none
                        looks.append(look)
                if looks and time.monotonic() - said >= 60:
                    said = time.monotonic()
                    _tell(looks[-1])
            if process.returncode != 0:
                raise SystemExit(f"the command ended with {process.returncode}")
    return looks


def _look(process: psutil.Process, seconds: float) -> Look:
    newest = json.loads(_last_line(OUT))
    return Look(
        seconds,
        process.memory_info().rss,
        process.num_fds(),
        newest["frame"],
        newest["dropped"],
        newest["connections"],
    )


def _last_line(path: Path) -> bytes:
    """The last whole line of the file, or of the one that was just put aside."""
    for candidate in (path, path.with_name(f"{path.name}.1")):
        if candidate.exists() and (lines := candidate.read_bytes().split(b"\n")[:-1]):
            return lines[-1]
    raise LookupError("no line yet")


def faults(looks: Sequence[Look]) -> list[str]:
    """What is wrong, in words; none if all is well."""
    if len(looks) < 6:
        return [f"{len(looks)} looks are too few to judge by; soak for longer"]
    found = []
    silent = max(b.seconds - a.seconds for a, b in _standing_still(looks))
    if silent > RETURN_LIMIT:
        found.append(f"no frame came for {silent:.0f} s")
    if looks[-1].connections < 2:
        found.append("the stream never came back after a cut")
    third = len(looks) // 3
    first, last = looks[1:third], looks[-third:]  # the very first look is of a process that is still growing
    before, after = (median(look.memory for look in part) for part in (first, last))
    if after > GROWTH_LIMIT * before:
        found.append(f"memory grew from {before / MIB:.0f} to {after / MIB:.0f} MiB")
    if max(look.files for look in last) > max(look.files for look in first) + FILES_LIMIT:
        found.append(f"open files grew to {max(look.files for look in last)}")
    return found


def _standing_still(looks: Sequence[Look]) -> Iterator[tuple[Look, Look]]:
    """Each stretch in which the newest frame stayed the same."""
    since = looks[0]
    for look in looks:
        if look.frame != since.frame:
            since = look
        yield since, look


def _tell(look: Look) -> None:
    print(
        f"{look.seconds / 60:6.1f} min  frame {look.frame}  dropped {look.dropped}  "
        f"connections {look.connections}  {look.memory / MIB:.0f} MiB  {look.files} files",
        flush=True,
    )


def main() -> int:
    """0 if the stream was held on to and nothing grew."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="[default: 10]")
    looks = soak(parser.parse_args().minutes)
    if looks:
        _tell(looks[-1])
    wrong = faults(looks)
    print("\n".join(wrong) or "held on to, and nothing grew")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
