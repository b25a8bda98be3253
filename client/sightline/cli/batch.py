"""`sightline batch`: many pictures and videos, resumable."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click

from sightline.batch.engines import Engine, RayEngine, ThreadEngine
from sightline.batch.example_folder import ExampleFolder
from sightline.batch.hard_examples import CollectOptions
from sightline.batch.job import DEFAULT_SEGMENT, Job, JobOptions
from sightline.batch.result_files import FORMATS
from sightline.batch.sources import find_sources
from sightline.batch.work import Work
from sightline.cli.connection import Connection, ModelType, connection_options, option_options
from sightline.cli.exits import Exit
from sightline.cli.progress import Progress
from sightline.cli.ranges import FiniteRange
from sightline.cli.tuning import tune_for_frames
from sightline.contract import ModelRef
from sightline.counted import counted
from sightline.errors import InvalidOptionError
from sightline.options import DetectOptions

DEFAULT_WORKERS: Final = 2
DEFAULT_IN_FLIGHT: Final = 8  # pictures and frames; a gateway's default worker takes 64 requests
DEFAULT_PATIENCE: Final = 300.0  # seconds; a model server has restarted by then
DEFAULT_EXAMPLES: Final = 200  # pictures; an evening's labelling
_POSITIVE: Final = FiniteRange(0, min_open=True)
_FOLDER: Final = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=str), metavar="INPUT...")
@connection_options
@option_options
@click.option("--out", type=_FOLDER, required=True, metavar="DIR", help="Gets results/ and manifest.ndjson.")
@click.option("--resume", is_flag=True, help="Continue the job that is in DIR; what is done stays done.")
@click.option("--format", "formats", type=click.Choice(FORMATS), multiple=True, help="[default: both]")
@click.option("--fps", type=_POSITIVE, help="Frames to look at per second of video.  [default: all]")
@click.option(
    "--segment",
    type=_POSITIVE,
    default=DEFAULT_SEGMENT,
    show_default=True,
    metavar="SECONDS",
    help="Videos are cut into parts of this length, which run at the same time.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 4096),
    default=DEFAULT_WORKERS,
    show_default=True,
    help="Tasks at once, over all machines.",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 65536),
    default=DEFAULT_IN_FLIGHT,
    show_default=True,
    help="Pictures and frames sent at once, over all machines; leaves room for other users.",
)
@click.option(
    "--patience",
    type=FiniteRange(0),
    default=DEFAULT_PATIENCE,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for a service that is away.",
)
@click.option(
    "--engine",
    type=click.Choice(["threads", "ray"]),
    default="threads",
    show_default=True,
    help="ray needs sightline[ray].",
)
@click.option("--address", metavar="ADDRESS", help="Ray cluster to join.  [default: start one here]")
@click.option(
    "--collect",
    type=_FOLDER,
    metavar="DIR",
    help="Keep pictures that the model is unsure of there, as JPEG and VOC XML for labelImg.",
)
@click.option(
    "--collect-max",
    type=click.IntRange(min=1),
    default=DEFAULT_EXAMPLES,
    show_default=True,
    help="Keep no more than so many.",
)
@click.option(
    "--collect-against",
    type=ModelType(),
    metavar="MODEL",
    help="Also keep pictures in which this model or version finds something else.",
)
def batch_command(
    *,
    inputs: tuple[str, ...],
    connection: Connection,
    options: DetectOptions,
    out: Path,
    resume: bool,
    formats: tuple[str, ...],
    fps: float | None,
    segment: float,
    workers: int,
    in_flight: int,
    patience: float,
    engine: str,
    address: str | None,
    collect: Path | None,
    collect_max: int,
    collect_against: ModelRef | None,
) -> None:
    """Find the objects in many pictures and videos: files, folders, globs, addresses such as s3://bucket/key.

    @FILE is a list of inputs, one a line; @- reads it from standard input. Each input gets a file in
    DIR/results. An input that cannot be read is recorded in the manifest, and the job goes on.
    """
    if address is not None and engine != "ray":
        raise click.UsageError("--address is for --engine ray")
    if collect_against is not None and collect is None:
        raise click.UsageError("--collect-against needs --collect DIR")
    try:
        sources = find_sources(inputs)
    except InvalidOptionError as fault:
        raise click.UsageError(fault.detail) from None
    tune_for_frames()
    workers = min(workers, in_flight)
    work = Work(
        connection.open,
        options,
        fps,
        in_flight // workers,
        patience,
        connection.model,
        None if collect is None else CollectOptions(collect_against),
    )
    runner: Engine = RayEngine(workers, address) if engine == "ray" else ThreadEngine(workers)
    with ExitStack() as opened:
        examples = None if collect is None else ExampleFolder(collect, limit=collect_max)
        try:
            job = opened.enter_context(
                Job(out, work, JobOptions(formats or FORMATS, segment, resume), examples=examples)
            )
        except InvalidOptionError as fault:
            raise click.UsageError(fault.detail) from None
        progress = opened.enter_context(Progress(str(out), len(sources), "inputs"))
        before = job.summary()
        progress.reach(before.done + before.failed)
        for completed in job.run(sources, runner):
            progress.advance(completed)
    _tell(job, examples)
    raise SystemExit(Exit.SOME_FAILED if job.summary().failed else Exit.OK)


def _tell(job: Job, examples: ExampleFolder | None) -> None:
    told = job.summary()
    for address, warning in job.warnings():
        click.echo(f"{address}: {warning}", err=True)
    for address, fault in job.failures():
        click.echo(fault if address in fault else f"{address}: {fault}", err=True)
    looked_at = counted(told.records, "picture or frame", "pictures and frames")
    seen = f"{counted(told.detections, 'object')} in {looked_at}"
    click.echo(f"{counted(told.done, 'input')} done, {told.failed} failed; {seen}", err=True)
    if examples is not None:
        click.echo(f"{counted(len(examples), 'hard example')} collected", err=True)
