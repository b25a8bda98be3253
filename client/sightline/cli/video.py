"""`sightline video`: a video in, a line per frame out, and the video with its boxes."""

from __future__ import annotations

import functools
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Any

import click
import orjson

from sightline.annotated_video import SUFFIXES, annotate
from sightline.cli.connection import Connection, connection_options, option_options
from sightline.cli.exits import Exit
from sightline.cli.progress import Progress
from sightline.cli.tuning import tune_for_frames
from sightline.errors import SightlineError
from sightline.frame_result import FrameResult, Tally
from sightline.interface import Resizing
from sightline.options import DetectOptions
from sightline.pipeline import DEFAULT_IN_FLIGHT, detect_frames
from sightline.video import FALLBACK_FPS, FrameOptions, Video
from sightline.video_writer import keeps_sound
from sightline.whole_file import check_writable, whole_file


def frame_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--fps` and its like, and hand it `FrameOptions` as `frames`."""

    @click.option("--fps", type=float, help="Frames to look at per second of video.  [default: all]")
    @click.option("--every", type=int, metavar="N", help="Look at every N-th frame instead.")
    @click.option("--start", type=float, default=0.0, metavar="SECONDS", help="Begin here.")
    @click.option("--end", type=float, metavar="SECONDS", help="End before this.")
    @functools.wraps(command)
    def wrapped(
        *args: Any, fps: float | None, every: int | None, start: float, end: float | None, **rest: Any
    ) -> Any:
        try:
            frames = FrameOptions(fps, every, start, end)
        except SightlineError as fault:
            raise click.UsageError(fault.detail) from None
        return command(*args, frames=frames, **rest)

    return wrapped


@click.command()
@click.argument("video", type=click.Path(path_type=str))
@connection_options
@option_options
@frame_options
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
    help="Write the lines (NDJSON) there, not to standard output.",
)
@click.option(
    "--draw",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the video with its boxes and its sound: .mp4, .mov, .mkv or .avi.",
)
def video_command(
    *,
    video: str,
    connection: Connection,
    options: DetectOptions,
    frames: FrameOptions,
    in_flight: int,
    track: bool,
    out: Path | None,
    draw: Path | None,
) -> None:
    """Find the objects in the frames of a VIDEO; - reads it from standard input.

    A line of JSON per frame, in order, as it is found; a summary ends them.
    """
    if out is not None:
        _check_folder(out)
    if draw is not None:
        _check_drawable(video, draw)
    if any(
        path is not None and path.exists() and video != "-" and path.samefile(video) for path in (out, draw)
    ):
        raise click.UsageError(f"{video} would be replaced by its own result; name another file")
    tune_for_frames()
    with ExitStack() as opened:
        source = opened.enter_context(Video(sys.stdin.buffer if video == "-" else video))
        detector = opened.enter_context(closing(connection.open()))
        resize = detector.resize() if isinstance(detector, Resizing) else None
        found: Iterator[FrameResult] = detect_frames(
            detector, source.frames(frames, resize), options, in_flight=in_flight
        )
        if track:
            from sightline.tracking import Tracker

            pace = frames.fps or (source.info.fps or FALLBACK_FPS) / (frames.every or 1)
            found = map(Tracker(pace).follow, found)
        end = min(frames.end or math.inf, source.info.duration or math.inf)
        total = None if math.isinf(end) else end - frames.start
        kept = opened.enter_context(tempfile.TemporaryFile())
        with _lines(out) as lines, Progress(video, total, "seconds", among_lines=out is None) as progress:
            seen = _write(_watched(found, progress, frames.start, kept if draw else None), lines, out, source)
            progress.finish()
        if not seen:
            until = "" if frames.end is None else f" and before {frames.end:g} s"
            click.echo(f"{video} has no frame from {frames.start:g} s on{until}", err=True)
            raise SystemExit(Exit.SOME_FAILED)
        if source.cut_short:
            click.echo(f"{video}: {source.cut_short}", err=True)
        if draw is not None:
            with Progress(str(draw), total, "seconds") as progress:
                annotate(Path(video), _watched(_read(kept), progress, frames.start, None), draw, frames)
                progress.finish()
    raise SystemExit(Exit.OK)


def _check_folder(path: Path) -> None:
    """Say now what would otherwise be found out after the whole video was looked at."""
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder {path.absolute().parent}")


def _check_drawable(video: str, draw: Path) -> None:
    if video == "-":
        raise click.UsageError("--draw reads the video twice; give it as a file")
    if draw.suffix.lower() not in SUFFIXES:
        raise click.UsageError(f"--draw {draw} should end in one of {', '.join(SUFFIXES)}")
    _check_folder(draw)
    check_writable(draw)
    if not keeps_sound():
        click.echo("ffmpeg is not on the path: the drawn video will have no sound", err=True)


@contextmanager
def _lines(out: Path | None) -> Iterator[IO[bytes]]:
    if out is None:
        yield sys.stdout.buffer
        return
    with whole_file(out) as file:
        yield file


def _watched(
    records: Iterator[FrameResult], progress: Progress, start: float, kept: IO[bytes] | None
) -> Iterator[FrameResult]:
    for record in records:
        if kept is not None:
            kept.write(record.to_json() + b"\n")
        progress.reach(record.time - start)
        yield record


def _read(kept: IO[bytes]) -> Iterator[FrameResult]:
    kept.seek(0)
    return map(FrameResult.from_dict, map(orjson.loads, kept))


def _write(records: Iterator[FrameResult], lines: IO[bytes], out: Path | None, source: Video) -> int:
    """Write the records and what ends them: a summary, or the error for a reader in a pipe to see.

    Returns how many there were.
    """
    tally = Tally()
    try:
        for record in records:
            tally.add(record)
            lines.write(record.to_json() + b"\n")
            lines.flush()
    except SightlineError as fault:
        if out is None:
            lines.write(orjson.dumps({"error": fault.problem()}) + b"\n")
            lines.flush()
        raise
    lines.write(tally.to_json(source.cut_short) + b"\n")
    lines.flush()
    return tally.frames
