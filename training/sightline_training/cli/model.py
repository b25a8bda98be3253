"""Commands on runs and versions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sightline.contract import DEFAULT_THRESHOLD
from sightline.counted import counted
from sightline_training.cli.data import FOLDER, draw, tell_left_out
from sightline_training.cli.main import cli
from sightline_training.cli.progress import Counter, counting
from sightline_training.cli.tensorflow import start_tensorflow

if TYPE_CHECKING:
    from sightline_training.run import Run
    from sightline_training.splits import Split
    from sightline_training.train import Progress
    from sightline_training.workflow import Evaluated

DEMO_TRAINING = 800  # pictures
DEMO_TEST = 150  # pictures, of another seed
DEMO_SEEDS = (1, 2)
_LARGEST_BATCH = 1024  # pictures
_TOLD = 5  # of what is left out, where `inspect` tells all
_WEIGHTS_HELP = "Weights to start from: a .tflite, a run or its .npz, a Keras backbone, or `imagenet`."


@cli.command()
@click.option("--data", type=FOLDER, required=True, help="Labelled pictures.")
@click.option("--out", type=FOLDER, required=True, help="The run's folder.")
@click.option("--weights", help=_WEIGHTS_HELP + " Random without it.")
@click.option("--preset", default="droids", show_default=True, help="A preset's name, or a .toml file.")
@click.option(
    "--folds",
    default=5,
    show_default=True,
    type=click.IntRange(min=1),
    help="One part in so many is held out; 1 holds out none.",
)
@click.option("--resume", is_flag=True, help="Go on with the run that is there.")
def fit(data: Path, out: Path, *, weights: str | None, preset: str, folds: int, resume: bool) -> None:
    """Train a detector. Ctrl-C or a kill leaves a run that --resume goes on with."""
    start_tensorflow()
    from sightline_training.annotations import read_dataset
    from sightline_training.presets import load_preset
    from sightline_training.run import Run
    from sightline_training.splits import fold_of
    from sightline_training.starting import read_start
    from sightline_training.workflow import begin_run, train_run, whole

    if not resume:
        Run.refuse_taken(out)
    recipe = load_preset(preset)
    start = read_start(weights) if weights else None
    dataset = read_dataset(data)
    tell_left_out(dataset, most=_TOLD)
    split = fold_of(dataset, 0, folds=folds) if folds > 1 else whole(dataset)
    run = begin_run(out, split, recipe, start, resume=resume)
    _tell_split(run, split)
    try:
        with _training(run) as counter:
            train_run(run, split, start, tell=_teller(counter))
    except KeyboardInterrupt:
        click.echo(f"{out}: --resume goes on with it", err=True)
        raise
    click.echo(f"{out}: trained {counted(run.summary()['steps'], 'step')}")


@cli.command()
@click.option("--data", type=FOLDER, required=True, help="Labelled pictures.")
@click.option("--out", type=FOLDER, required=True, help="Where the runs of the folds go.")
@click.option("--weights", help=_WEIGHTS_HELP + " Random without it.")
@click.option("--preset", default="droids", show_default=True, help="A preset's name, or a .toml file.")
@click.option("--folds", default=3, show_default=True, type=click.IntRange(min=2), help="Parts.")
@click.option(
    "--report", type=FOLDER, help="A folder for curves, confusion and the worst cases of all parts."
)
def crossval(
    data: Path, out: Path, *, weights: str | None, preset: str, folds: int, report: Path | None
) -> None:
    """Train once for each part of the data without it, and measure on it. Goes on where it was stopped."""
    start_tensorflow()
    _refuse_taken(report)
    from sightline_training.annotations import read_dataset
    from sightline_training.crossval import cross_validate, pooled, summary
    from sightline_training.presets import load_preset
    from sightline_training.starting import read_start

    recipe = load_preset(preset)
    start = read_start(weights) if weights else None
    dataset = read_dataset(data)
    tell_left_out(dataset, most=_TOLD)
    with counting("training", folds * recipe.fit.steps) as counter:

        def tell(number: int, progress: Progress) -> None:
            counter.reach(number * progress.steps + progress.step, f"fold {number} loss {progress.loss:.2f}")

        results = cross_validate(out, dataset, recipe, start, folds=folds, tell=tell)
    for fold in results:
        shown = counted(len(fold.held_out.examples), "picture")
        click.echo(f"fold {fold.number}, {shown}, {fold.cpu_seconds:.0f} CPU-seconds:")
        _print_metrics(fold.metrics.flat())
    facts: Any = summary(results)
    click.echo("mean: " + "  ".join(f"{name} {value:.3f}" for name, value in facts["mean"].items()))
    if report is not None:
        _report(report, pooled(results))


@cli.command()
@click.argument("run", type=FOLDER)
@click.option("--data", type=FOLDER, required=True, help="Labelled pictures; those trained on are left out.")
@click.option("--report", type=FOLDER, help="A folder for curves, confusion and the worst cases.")
def evaluate(run: Path, data: Path, report: Path | None) -> None:
    """Measure a run's best weights on held-out pictures; find the best threshold of each class."""
    run_evaluate(run, data, report)


@cli.command()
@click.argument("run", type=FOLDER)
@click.argument("base", type=FOLDER)
@click.option("--data", type=FOLDER, required=True, help="Pictures for warm-up and golden answers.")
@click.option("--version", type=click.IntRange(min=1), help="The version's number.")
@click.option("--next", "next_", is_flag=True, help="Take the next number (the default).")
@click.option(
    "--crossval",
    "folds",
    type=FOLDER,
    help="A cross-validation's folder: its metrics and thresholds go into the card of a run on all pictures.",
)
@click.option(
    "--warmup-batches",
    callback=lambda _context, _parameter, value: _sizes(value),
    metavar="SIZES",
    default="",
    help="For servers on GPUs: sizes of batches that are warmed up too, such as 2,4,8,16,32.",
)
def export(
    run: Path,
    base: Path,
    *,
    data: Path,
    version: int | None,
    next_: bool,
    folds: Path | None,
    warmup_batches: Sequence[int],
) -> None:
    """Write a run's best weights as a version folder below BASE (MODELS/NAME)."""
    if version is not None and next_:
        raise click.UsageError("--version and --next exclude each other")
    run_export(run, base, data, version, crossval_folder=folds, warmup_batches=warmup_batches)


def _sizes(text: str) -> tuple[int, ...]:
    """Sizes of batches, as they are given in one argument."""
    given = [size.strip() for size in text.split(",")] if text else []
    if not all(size.isascii() and size.isdigit() and 1 < int(size) <= _LARGEST_BATCH for size in given):
        raise click.BadParameter(f"{text!r} is no list of sizes from 2 to {_LARGEST_BATCH}, such as 2,4,8")
    return tuple(sorted({int(size) for size in given}))


@cli.command()
@click.option(
    "--data", type=FOLDER, required=True, help="Where the drawn pictures go: DATA/train, DATA/test."
)
@click.option("--run", "run", type=FOLDER, required=True, help="The run's folder.")
@click.option("--models", type=FOLDER, required=True, help="MODELS/NAME; its version 1 is made.")
def demo(data: Path, run: Path, models: Path) -> None:
    """Draw droids, train on them, measure on others, export version 1. What is done is not done again."""
    from sightline_training.versions import versions_of

    if versions_of(models):
        click.echo(f"{models} has version {versions_of(models)[-1]} already")
        return
    draw(data / "train", DEMO_TRAINING, DEMO_SEEDS[0])
    draw(data / "test", DEMO_TEST, DEMO_SEEDS[1])
    start_tensorflow()
    from sightline_training.annotations import read_dataset
    from sightline_training.presets import load_preset
    from sightline_training.workflow import begin_run, train_run, whole

    split = whole(read_dataset(data / "train"))
    begun = begin_run(run, split, load_preset("demo"), resume=True)
    with _training(begun) as counter:
        train_run(begun, split, tell=_teller(counter))
    run_evaluate(run, data / "test", None)
    run_export(run, models, data / "test", 1)


def run_evaluate(folder: Path, data: Path, report: Path | None) -> None:
    """Measure, print, keep the numbers for the card, and draw the report if one is asked for."""
    start_tensorflow()
    _refuse_taken(report)
    from sightline_training.run import Run
    from sightline_training.workflow import evaluate_run

    run = Run.open(folder)
    _tell_unfinished(run)
    found = evaluate_run(run, data)
    if found.learnt:
        click.echo(f"left out: {counted(found.learnt, 'picture')} that {folder} has learnt from")
    shown = counted(len(found.dataset.examples), "held-out picture")
    click.echo(f"on {shown} (COCO metric, pycocotools):")
    _print_metrics(found.metrics.flat())
    thresholds = found.findings.thresholds()
    for class_id, label in found.findings.labels.items():
        score = thresholds.get(class_id)
        click.echo(
            f"  best threshold of {label}: "
            + (
                f"{score:.3g}"
                if score is not None
                else f"none, as none was found; {DEFAULT_THRESHOLD} applies"
            )
        )
    if report is not None:
        _report(report, found)


def _refuse_taken(report: Path | None) -> None:
    from sightline_training.replacing import refuse_taken
    from sightline_training.report import CURVES

    if report is not None:
        refuse_taken(report, kind=CURVES)


def _tell_unfinished(run: Run) -> None:
    if not run.done:
        click.echo(f"{run.folder} has not come to its end: these are its best weights so far", err=True)


def _report(folder: Path, found: Evaluated) -> None:
    from sightline_training.report import write_report

    click.echo(f"{write_report(folder, found)}: curves, confusion and the worst cases")


def run_export(
    folder: Path,
    base: Path,
    data: Path,
    version: int | None,
    *,
    crossval_folder: Path | None = None,
    warmup_batches: Sequence[int] = (),
) -> None:
    """Export a run's best weights, with what was measured of them or of their recipe."""
    start_tensorflow()
    from sightline_training.crossval import kept_for
    from sightline_training.run import Run
    from sightline_training.workflow import export_run

    run = Run.open(folder)
    _tell_unfinished(run)
    kept = kept_for(run, crossval_folder) if crossval_folder else run.metrics()
    made = export_run(run, base, data, version=version, kept=kept, warmup_batches=warmup_batches)
    click.echo(f"{made}: exported, and proved through TensorFlow's v1 loader")
    if not kept:
        click.echo(f"{made}: its card has no thresholds; `evaluate`, or --crossval, finds them", err=True)


def _training(run: Run) -> AbstractContextManager[Counter]:
    return counting("training", run.settings.fit.steps)


def _teller(counter: Counter) -> Any:
    def tell(progress: Progress) -> None:
        counter.reach(progress.step, f"loss {progress.loss:.2f}")
        if progress.metrics is not None:
            found = f"AP {progress.metrics.AP:.3f}, AP50 {progress.metrics.AP50:.3f}"
            counter.say(f"step {progress.step}: {found} on the held-out pictures")

    return tell


def _tell_split(run: Run, split: Split) -> None:
    left_out = len(split.held_out.examples)
    learnt = counted(len(split.training.examples), "picture")
    click.echo(f"{run.folder}: {learnt} to learn from, {left_out} held out")


def _print_metrics(values: dict[str, float]) -> None:
    for name, value in values.items():
        click.echo(f"  {name:<12} {value:.3f}")
