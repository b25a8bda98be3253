"""Cross-validation: every picture is held out once, and never tuned on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sightline.contract import DETECTION_OUTPUTS
from sightline.errors import InputError
from sightline_training.coco_metrics import CocoMetrics, measure, predict
from sightline_training.detector import Detector
from sightline_training.examples import Dataset
from sightline_training.findings import Findings
from sightline_training.pictures import load_pictures
from sightline_training.presets import Preset
from sightline_training.replacing import write_text
from sightline_training.run import METRICS, THRESHOLDS, Run
from sightline_training.splits import fold_of
from sightline_training.starting import Start
from sightline_training.train import Progress
from sightline_training.workflow import Evaluated, begin_run, input_size, train_run

SUMMARY: Final = "crossval.json"


@dataclass(frozen=True, slots=True)
class Fold:
    """One part held out."""

    number: int
    cpu_seconds: float  # of all training steps, on all cores
    held_out: Dataset
    outputs: Mapping[str, NDArray[np.float32]]  # the contract's four, for all of `held_out`
    metrics: CocoMetrics


def cross_validate(
    folder: Path,
    dataset: Dataset,
    preset: Preset,
    start: Start | None,
    *,
    folds: int,
    tell: Callable[[int, Progress], None] = lambda _number, _progress: None,
) -> list[Fold]:
    """Train once for each part, without looking at it, and measure on it.

    The steps are the preset's: nothing is stopped early or chosen on the part that is held out. Runs that
    are there from an interrupted call are gone on with.

    Returns:
        What each part gave; also written to `folder` as SUMMARY, with what they gave together.
    """
    results = []
    for number in range(folds):
        split = fold_of(dataset, number, folds=folds)
        run = begin_run(folder / _part(number), split, preset, start, resume=True)
        model = train_run(run, split, start, measure_on_the_way=False, tell=partial(tell, number))
        pixels = load_pictures(split.held_out.examples, input_size(run))
        outputs = predict(Detector(model, run.settings.architecture), pixels)
        results.append(
            Fold(
                number,
                run.summary()["cpu_seconds"],
                split.held_out,
                outputs,
                measure(split.held_out, outputs),
            )
        )
        write_text(folder / SUMMARY, json.dumps(summary(results), indent=2))
    together = pooled(results)
    found = {**summary(results), **together.kept(), "fingerprint": dataset.fingerprint()}
    write_text(folder / SUMMARY, json.dumps(found, indent=2))
    return results


def kept_for(run: Run, folder: Path) -> dict[str, Any]:
    """What a cross-validation found, for the card of a run that learnt from all of its pictures.

    Args:
        run: trained by the same recipe, from the same weights, on the same pictures.
        folder: of the cross-validation.

    Returns:
        Metrics and thresholds of all parts together, as `Run.metrics` gives them.

    Raises:
        InputError: there is none, it is not finished, or it is of another recipe or other pictures.
    """
    path = folder / SUMMARY
    if not path.is_file():
        raise InputError(f"{folder} holds no cross-validation: {SUMMARY} is missing")
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        kept = {name: found[name] for name in (METRICS, THRESHOLDS)}
        fingerprint = found["fingerprint"]
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"the cross-validation in {folder} is not finished; the same `crossval` command goes on with it"
        ) from None
    own, theirs = run.settings, Run.open(folder / _part(0)).settings
    if own.labels != theirs.labels or own.data["fingerprint"] != fingerprint:
        raise InputError(
            f"{run.folder} has learnt from other pictures than those of the cross-validation in {folder}; "
            "train it on all of them (fit --folds 1)"
        )
    recipes = [(part.architecture, part.fit, part.data["start"]) for part in (own, theirs)]
    if recipes[0] != recipes[1]:
        raise InputError(
            f"{run.folder} was trained by another recipe, or from other weights, than the cross-validation "
            f"in {folder}"
        )
    return kept


def _part(number: int) -> str:
    return f"fold-{number}"


def pooled(folds: Sequence[Fold]) -> Evaluated:
    """All parts as one evaluation: each picture as the network saw it that had not learnt from it."""
    labels = folds[0].held_out.labels
    dataset = Dataset(labels, tuple(example for fold in folds for example in fold.held_out.examples))
    outputs = {name: np.concatenate([fold.outputs[name] for fold in folds]) for name in DETECTION_OUTPUTS}
    return Evaluated(dataset, measure(dataset, outputs), Findings.of(dataset, outputs))


def summary(folds: Sequence[Fold]) -> dict[str, Any]:
    """Mean and spread over the folds, and each fold's own numbers.

    A fold whose pictures hold nothing to find has no AP, and counts in no mean.
    """
    names = ("AP", "AP50", "AP75")
    told = [fold.metrics.to_dict() for fold in folds]
    values = {name: [metrics[name] for metrics in told if name in metrics] for name in names}
    return {
        "mean": {name: round(mean(found), 4) for name, found in values.items() if found},
        "stdev": {name: round(stdev(found), 4) for name, found in values.items() if len(found) > 1},
        "folds": [
            {
                "pictures": len(fold.held_out.examples),
                "cpu_seconds": fold.cpu_seconds,
                **fold.metrics.to_dict(),
            }
            for fold in folds
        ],
    }
