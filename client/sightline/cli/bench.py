"""`sightline bench`: how quick a gateway or a Serving is under load."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import click
import numpy as np
import orjson

from sightline.cli.connection import Connection, connection_options, option_options
from sightline.cli.exits import Exit
from sightline.cli.progress import Progress
from sightline.counted import counted
from sightline.errors import InvalidOptionError
from sightline.images import encode_jpeg
from sightline.load_test import LoadOptions, LoadReport, run_load
from sightline.options import DetectOptions

DEFAULT: Final = LoadOptions()
_HEIGHT, _WIDTH = 720, 1280  # pixels of the picture that is drawn where none is given


@click.command()
@click.argument(
    "pictures", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[PICTURE]..."
)
@connection_options
@option_options
@click.option(
    "--seconds", type=float, default=DEFAULT.seconds, show_default=True, help="Measure for so long."
)
@click.option(
    "--warm-up",
    type=float,
    default=DEFAULT.warm_up,
    show_default=True,
    metavar="SECONDS",
    help="Put on the same load before, unmeasured.",
)
@click.option(
    "--concurrency",
    type=int,
    default=None,
    help=f"Requests under way all the time.  [default: {DEFAULT.concurrency}]",
)
@click.option("--rate", type=float, help="Begin so many requests per second instead, answered or not.")
@click.option("--batch", type=int, default=DEFAULT.batch, show_default=True, help="Pictures in one request.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def bench_command(
    *,
    pictures: tuple[Path, ...],
    connection: Connection,
    options: DetectOptions,
    seconds: float,
    warm_up: float,
    concurrency: int | None,
    rate: float | None,
    batch: int,
    as_json: bool,
) -> None:
    """Put load on a service with PICTUREs, or with a drawn one of 1280 x 720 pixels.

    Prints p50, p95 and p99 of the time to an answer, images per second, and errors by their code. Times are
    those a caller sees, retries included. The exit code is 1 if there were errors.
    """
    if rate is not None and concurrency is not None:
        raise click.UsageError("give --concurrency or --rate, not both")
    try:
        users = DEFAULT.concurrency if concurrency is None else concurrency
        load = LoadOptions(seconds, warm_up, users, rate, batch)
    except InvalidOptionError as fault:
        raise click.UsageError(fault.detail) from None
    contents = [picture.read_bytes() for picture in pictures] or [_drawn()]
    with closing(connection.open()) as detector:
        detector.detect(contents[0], options)  # what is wrong from the start is said once, not measured
        with Progress("bench", warm_up + seconds, "seconds") as progress:
            report = run_load(detector, contents, load, options, watch=progress.reach)
    _tell(report, load, str(connection), as_json)
    raise SystemExit(Exit.SOME_FAILED if report.errors else Exit.OK)


def _tell(report: LoadReport, load: LoadOptions, whom: str, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(report.to_dict()) + b"\n")
        return
    how = (
        f"{load.rate:g} requests per second"
        if load.rate
        else f"{counted(load.concurrency, 'request')} at once"
    )
    click.echo(f"{whom}, {how} for {load.seconds:g} s after {load.warm_up:g} s of warm-up")
    rate = f"{report.images_per_second:.1f} images/s"
    click.echo(f"answered  {counted(report.requests, 'request')}, {counted(report.images, 'image')}, {rate}")
    click.echo(
        "time      " + "  ".join(f"{name} {value:.1f} ms" for name, value in report.milliseconds.items())
    )
    failed = ", ".join(f"{code} {count}" for code, count in sorted(report.errors.items()))
    click.echo(f"errors    {failed or 'none'}")


def _drawn() -> bytes:
    """Smooth noise, which compresses about as a photograph does."""
    import cv2

    coarse = np.random.default_rng(0).integers(0, 255, (_HEIGHT // 40, _WIDTH // 40, 3), np.uint8)
    smooth = cv2.resize(coarse, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    return encode_jpeg(np.asarray(smooth, np.uint8))
