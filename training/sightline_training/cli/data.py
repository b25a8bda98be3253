"""Commands on data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sightline.counted import counted
from sightline_training.cli.inspection_text import print_inspection
from sightline_training.cli.main import cli
from sightline_training.cli.progress import counting
from sightline_training.cli.tensorflow import start_tensorflow

if TYPE_CHECKING:
    from sightline_training.examples import Dataset

FOLDER = click.Path(path_type=Path, file_okay=False)


@cli.command()
@click.argument("folder", type=FOLDER)
@click.option("--count", default=800, show_default=True, help="Pictures to draw.")
@click.option("--seed", default=1, show_default=True, help="Another seed gives other pictures.")
def synthetic(folder: Path, count: int, seed: int) -> None:
    """Draw a labelled data set of droids into FOLDER, unless it is there already."""
    draw(folder, count, seed)


def draw(folder: Path, count: int, seed: int) -> None:
    """Draw a data set and show how far it is."""
    from sightline_training.synthetic import SyntheticOptions, draw_dataset

    with counting(f"drawing {folder.name}", count) as counter:
        drawn = draw_dataset(folder, SyntheticOptions(count, seed), progress=counter.advance)
    click.echo(f"{folder}: {counted(count, 'picture')} {'drawn' if drawn else 'there already'}")


@cli.command()
@click.argument("data", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--shards", default=1, show_default=True, help="Files to spread the pictures over.")
@click.option("--compress", is_flag=True, help="Compress them with gzip.")
def convert(data: Path, out: Path, shards: int, compress: bool) -> None:
    """Write DATA (VOC, COCO, YOLO or TFRecord) as the Object Detection API's TFRecord and label map."""
    from sightline_training.replacing import refuse_taken

    refuse_taken(out)
    start_tensorflow()
    from sightline_training.annotations import read_dataset
    from sightline_training.records import write_files

    dataset = read_dataset(data)
    with counting("writing", len(dataset.examples)) as counter:
        written = write_files(out, dataset, shards=shards, compress=compress, progress=counter.advance)
    tell_left_out(dataset)
    counted = (
        _counted(len(dataset.examples), "picture"),
        _counted(len(written), "file"),
        _counted(len(dataset.labels), "class", "classes"),
    )
    click.echo("{}: {} in {}, {}".format(out, *counted))


def tell_left_out(dataset: Dataset, *, most: int | None = None) -> None:
    """Name what of a data set is not used, and why; or the first of it."""
    for note in dataset.notes:
        click.echo(note, err=True)
    for item in dataset.left_out[:most]:
        click.echo(f"left out: {item.name}: {item.reason}", err=True)
    more = len(dataset.left_out) - len(dataset.left_out[:most])
    if more:
        click.echo(f"left out: {more} more; `sightline-train inspect` lists them", err=True)


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


@cli.command("inspect")
@click.argument("data", type=FOLDER)
@click.option("--against", type=FOLDER, help="Another set, such as the test set, to be kept apart from.")
@click.option("--run", "run", type=FOLDER, help="A trained run, to tell where labels may be missing.")
@click.option("--model", "model", type=FOLDER, help="An exported version, for the same.")
@click.option("--page", type=FOLDER, help="A folder for a page of pictures and plots.")
def inspect_data(
    data: Path, against: Path | None, *, run: Path | None, model: Path | None, page: Path | None
) -> None:
    """Tell what a data set is worth before an hour is spent on it."""
    if run is not None and model is not None:
        raise click.UsageError("--run and --model exclude each other")
    from sightline_training.replacing import refuse_taken

    if page is not None:
        refuse_taken(page)
    start_tensorflow()
    from sightline_training.annotations import read_dataset
    from sightline_training.asked import asked_run, asked_version
    from sightline_training.inspection import inspect
    from sightline_training.inspection_page import write_page
    from sightline_training.run import Run

    asked = asked_run(Run.open(run)) if run else asked_version(model) if model else None
    dataset = read_dataset(data, asked.labels if asked else None)
    other = read_dataset(against, dataset.labels) if against else None
    found = inspect(dataset, against=other, findings=asked.findings(dataset) if asked else None)
    print_inspection(found)
    if page is not None:
        click.echo(f"{write_page(page, found)}: pictures and plots")
