"""Memory of the gateway while it works through a ten-minute 1080p video: a curve, and the peak above idle.

    python bench/video_memory.py            about three minutes on two cores; peak expected below 200 MB

The sum is of the proportional set sizes of the gateway's processes and the video's decoder, so that pages
that they share count once. Needs ffmpeg, which draws the video.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.fake_serving import fake_serving
from support.gateways import running

MINUTES = 10
FPS = 10  # of the drawn video
EVERY = 10  # frames: one a second is looked at, all are decoded
SAMPLE = 1.0  # seconds between looks at the memory
MB = 1e6


def main() -> None:
    """Draw the video, send it, print the curve."""
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder, "video.mp4")
        draw = f"testsrc2=size=1920x1080:rate={FPS}:duration={MINUTES * 60}"
        encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
        subprocess.run(
            ("ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", draw, *encoder, str(video)), check=True
        )
        print(f"{MINUTES} minutes, 1920 x 1080, {video.stat().st_size / MB:.0f} MB")
        with fake_serving() as serving, running(serving.target, workers=1, max_video=10**9) as gateway:
            idle = memory(gateway.process.pid)
            curve: list[float] = []
            done = threading.Event()
            watcher = threading.Thread(target=watch, args=(gateway.process.pid, idle, curve, done))
            watcher.start()
            begun = time.monotonic()
            lines = send(gateway.url, video)
            done.set()
            watcher.join()
    print(f"{lines} lines in {time.monotonic() - begun:.0f} s; {idle / MB:.0f} MB when idle")
    step = max(1, len(curve) // 20)
    print("MB above idle, evenly over the time:", " ".join(f"{value / MB:.0f}" for value in curve[::step]))
    print(f"peak {max(curve) / MB:.0f} MB above idle")


def send(url: str, video: Path) -> int:
    """Send the video as a stream and count the lines that come back."""
    with video.open("rb") as body:
        kind = {"Content-Type": "video/mp4"}
        address = f"{url}/v1/detectVideo?every={EVERY}"
        with httpx.stream("POST", address, content=body, headers=kind, timeout=600) as answer:
            return sum(1 for _ in answer.iter_lines())


def watch(root: int, idle: float, curve: list[float], done: threading.Event) -> None:
    """Write down the memory above idle until it is done."""
    while not done.wait(SAMPLE):
        curve.append(memory(root) - idle)


def memory(root: int) -> float:
    """Bytes that a process and all below it hold."""
    total, todo = 0.0, [root]
    while todo:
        pid = todo.pop()
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:  # it has just ended
            continue
        total += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
        for thread in Path(f"/proc/{pid}/task").iterdir():
            todo += [int(child) for child in (thread / "children").read_text().split()]
    return total


if __name__ == "__main__":
    main()
