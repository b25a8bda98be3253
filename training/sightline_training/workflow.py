"""The steps from a folder of labelled pictures to a served version, each finished or not begun."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from sightline.errors import InputError
from sightline.geometry import Stretch
from sightline_training.annotations import read_dataset
from sightline_training.asked import asked_run
from sightline_training.coco_metrics import CocoMetrics, measure
from sightline_training.examples import Dataset
from sightline_training.export import export_version
from sightline_training.families import architecture_for
from sightline_training.findings import Findings
from sightline_training.pictures import load_pictures
from sightline_training.presets import Preset
from sightline_training.run import METRICS, THRESHOLDS, Run, RunSettings
from sightline_training.splits import Split
from sightline_training.starting import Start
from sightline_training.train import Progress, fit

_GOLDEN_FROM: Final = 32  # pictures among which the export's golden ones are chosen


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation found."""

    dataset: Dataset
    metrics: CocoMetrics
    findings: Findings
    learnt: int = 0  # pictures that were left out because the run has learnt from them

    def kept(self) -> dict[str, Any]:
        """What goes into a card, as `Run.keep_metrics` takes it."""
        thresholds = {str(number): value for number, value in self.findings.thresholds().items()}
        return {METRICS: self.metrics.flat(), THRESHOLDS: thresholds}


def begin_run(
    folder: Path, split: Split, preset: Preset, start: Start | None = None, *, resume: bool = False
) -> Run:
    """Lay down what a run is to do, or find it laid down.

    Args:
        folder: the run's.
        split: what is learnt from and what is held out.
        preset: the recipe.
        start: weights to start from; what they say of their network wins over the preset.
        resume: go on with a run that is there.

    Raises:
        InputError: there is a run and `resume` is not asked, or it has other settings.
    """
    network, labels = preset.network, split.training.labels
    architecture = architecture_for(network.family, len(labels), network.size, network.multiplier, start)
    facts = {
        "fingerprint": split.training.fingerprint(),
        "pictures": len(split.training.examples),
        "held_out": [example.name for example in split.held_out.examples],
        "learnt": sorted(example.digest() for example in split.training.examples),
        "start": Path(start.source).name if start else "random",
    }
    return Run.begin(folder, RunSettings(architecture, labels, preset.fit, facts), resume=resume)


def train_run(
    run: Run,
    split: Split,
    start: Start | None = None,
    *,
    measure_on_the_way: bool = True,
    tell: Callable[[Progress], None] = lambda _: None,
) -> keras.Model:
    """Train a run to its end; `start` must be the one that it was begun with.

    Args:
        run: as `begin_run` gave it.
        split: likewise.
        start: likewise.
        measure_on_the_way: keep the weights that do best on the held-out pictures. Without it the last
            ones are kept, and the held-out pictures stay unseen: what a test fold needs.
        tell: told of every step.

    Raises:
        UnavailableError: another process is training it.
        InputError: as `fit`.
    """
    watched = split.held_out if measure_on_the_way and split.held_out.examples else None
    begin: Callable[[keras.Model], object] = start.put_into if start else lambda _: None
    with run.held():
        return fit(run, split.training, watched, start=begin, tell=tell)


def evaluate_run(run: Run, data: Path) -> Evaluated:
    """Measure a run's best weights on a data set, and keep metrics and thresholds for the card.

    Pictures that the run has learnt from are left out, whatever they are called here.

    Raises:
        InputError: there are no others.
    """
    whole_set = read_dataset(data, run.settings.labels)
    dataset = held_out_of(run, whole_set)
    found = asked_run(run).outputs(dataset)
    learnt = len(whole_set.examples) - len(dataset.examples)
    evaluated = Evaluated(dataset, measure(dataset, found), Findings.of(dataset, found), learnt)
    run.keep_metrics(evaluated.kept())
    return evaluated


def held_out_of(run: Run, dataset: Dataset) -> Dataset:
    """The pictures of a data set that a run has not learnt from.

    Raises:
        InputError: there are none.
    """
    learnt = frozenset(run.settings.data["learnt"])
    others = tuple(example for example in dataset.examples if example.digest() not in learnt)
    if not others:
        raise InputError("the run has learnt from all of these pictures; measure it on others")
    return replace(dataset, examples=others)


def export_run(
    run: Run,
    base: Path,
    data: Path,
    *,
    version: int | None = None,
    kept: Mapping[str, Any] | None = None,
    warmup_batches: Sequence[int] = (),
) -> Path:
    """Write a run's best weights as a version folder.

    Args:
        run: that was trained.
        base: `MODELS/<name>`.
        data: pictures that become warm-up requests and golden ones.
        version: its number; None takes the next.
        kept: metrics and thresholds for the card, as `Run.metrics` gives them; None takes the run's own.
        warmup_batches: as `export_version` takes them.
    """
    settings = run.settings
    dataset = read_dataset(data, settings.labels)
    few = Dataset(settings.labels, dataset.examples[:_GOLDEN_FROM])
    measured = run.metrics() if kept is None else kept
    return export_version(
        base,
        run.trained(),
        settings.architecture,
        settings.labels,
        _pixels(run, few),
        version=version,
        thresholds={int(number): value for number, value in measured.get(THRESHOLDS, {}).items()},
        metrics=measured.get(METRICS),
        data=_told(settings),
        warmup_batches=warmup_batches,
    )


def _told(settings: RunSettings) -> dict[str, Any]:
    """What a card tells of the data and the recipe."""
    data = {name: value for name, value in settings.data.items() if name != "learnt"}
    return {**data, "held_out": len(data["held_out"]), "fit": asdict(settings.fit)}


def whole(dataset: Dataset) -> Split:
    """All of a data set to learn from, nothing held out."""
    return Split(dataset, Dataset(dataset.labels, ()))


def input_size(run: Run) -> Stretch:
    """The resize of a run's network."""
    return Stretch(run.settings.architecture.height, run.settings.architecture.width)


def _pixels(run: Run, dataset: Dataset) -> NDArray[np.uint8]:
    return load_pictures(dataset.examples, input_size(run))
