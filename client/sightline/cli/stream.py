"""`sightline stream`: a camera or live stream in, lines out, for as long as it lasts."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import click
import orjson

from sightline.cli.connection import Connection, connection_options, option_options
from sightline.cli.exits import Exit
from sightline.cli.progress import Progress
from sightline.cli.tuning import tune_for_frames
from sightline.detections import Result
from sightline.errors import SightlineError
from sightline.frame_result import FrameResult
from sightline.options import DetectOptions
from sightline.pipeline import DEFAULT_IN_FLIGHT, in_order
from sightline.rotating_lines import RotatingLines
from sightline.stream import Stream, StreamCounts, StreamOptions
from sightline.video import Frame

MEGABYTE: Final = 10**6  # bytes
_TRACK_FPS: Final = 10.0  # frames per second that a tracker is told of, where the stream's pace is free


@click.command()
@click.argument("address")
@connection_options
@option_options
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="Look at no more frames per second.")
@click.option(
    "--in-flight",
    type=click.IntRange(1, 64),
    default=DEFAULT_IN_FLIGHT,
    show_default=True,
    help="Frames that are worked on at once.",
)
@click.option("--track", is_flag=True, help="Give objects an identity over frames; needs sightline[track].")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the lines there, not to standard output; rotated as FILE.1, FILE.2, ...",
)
@click.option(
    "--rotate-mb",
    type=click.FloatRange(0, min_open=True),
    default=100,
    show_default=True,
    help="Size at which the file is put aside.",
)
@click.option("--keep", type=click.IntRange(min=1), default=10, show_default=True, help="Files put aside.")
@click.option(
    "--start-timeout",
    type=click.FloatRange(0, min_open=True),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for the first frame.",
)
@click.option(
    "--for",
    "duration",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="End after so long.  [default: run until stopped]",
)
def stream_command(
    *,
    address: str,
    connection: Connection,
    options: DetectOptions,
    fps: float | None,
    in_flight: int,
    track: bool,
    out: Path | None,
    rotate_mb: float,
    keep: int,
    start_timeout: float,
    duration: float | None,
) -> None:
    """Find the objects in a live stream: rtsp://..., http://... (MJPEG), or a camera by its number.

    A line of JSON per frame that was looked at, with how many were dropped so far. A cut line is connected
    again, and a service that is away is waited for, until SIGTERM or Ctrl-C.
    """
    tune_for_frames()
    with ExitStack() as opened:
        stream = opened.enter_context(Stream(address, StreamOptions(fps, start_timeout)))
        detector = opened.enter_context(closing(connection.open()))
        write = _writer(opened, out, round(rotate_mb * MEGABYTE), keep)
        _end_at(opened, stream, duration)
        follow = None
        if track:
            from sightline.tracking import Tracker

            follow = Tracker(fps or _TRACK_FPS).follow
        look = _Looking(detector.detect, options)
        progress = opened.enter_context(Progress(stream.name, None, "frames", among_lines=out is None))
        try:
            for outcome in in_order(look, stream.frames(), in_flight):
                followed = follow(outcome) if follow and isinstance(outcome, FrameResult) else outcome
                write(_line(followed, stream.counts))
                progress.advance()
        finally:
            click.echo(_told(stream.name, stream.counts), err=True)
    raise SystemExit(Exit.OK)


class _Looking:
    """Looks at a frame. Once the service has answered, its errors are recorded rather than raised."""

    def __init__(self, detect: Callable[..., Result], options: DetectOptions) -> None:
        self._detect, self._options = detect, options
        self._answered = False

    def __call__(self, frame: Frame) -> FrameResult | dict[str, Any]:
        try:
            found = self._detect(frame.pixels, self._options)
        except SightlineError as fault:
            if not self._answered:
                raise
            return {"frame": frame.index, "time": frame.time, "error": fault.problem()}
        self._answered = True
        return FrameResult(frame.index, frame.time, found)


def _line(outcome: FrameResult | dict[str, Any], counts: StreamCounts) -> bytes:
    plain = outcome.to_dict() if isinstance(outcome, FrameResult) else outcome
    return orjson.dumps({**plain, "dropped": counts.dropped, "connections": counts.connections})


def _told(name: str, counts: StreamCounts) -> str:
    return (
        f"{name}: {counts.received} frames came over {counts.connections} connections; "
        f"{counts.taken} looked at, {counts.dropped} dropped, {counts.skipped} not asked for"
    )


def _writer(opened: ExitStack, out: Path | None, max_bytes: int, keep: int) -> Callable[[bytes], None]:
    if out is not None:
        return opened.enter_context(RotatingLines(out, max_bytes=max_bytes, keep=keep)).write

    def write(line: bytes) -> None:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()

    return write


def _end_at(opened: ExitStack, stream: Stream, duration: float | None) -> None:
    """End the stream after a time, or when the system asks for it as containers do: with SIGTERM."""
    before = signal.signal(signal.SIGTERM, lambda *_: stream.close())
    opened.callback(signal.signal, signal.SIGTERM, before)
    if duration is not None:
        timer = threading.Timer(duration, stream.close)
        timer.daemon = True
        timer.start()
        opened.callback(timer.cancel)
