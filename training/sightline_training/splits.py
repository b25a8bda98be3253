"""Data sets cut in parts by groups of near-duplicates, so that no scene is both learnt and asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sightline.counted import counted
from sightline.errors import InputError
from sightline_training.duplicates import near_groups
from sightline_training.examples import Dataset

DEFAULT_FOLDS: Final = 5  # a fifth is held out where nothing else is asked


@dataclass(frozen=True, slots=True)
class Split:
    """What is learnt from and what is held out."""

    training: Dataset
    held_out: Dataset


def fold_of(dataset: Dataset, fold: int, *, folds: int = DEFAULT_FOLDS, seed: int = 1) -> Split:
    """Hold out one of `folds` parts, 0 the first; parts are alike in size and classes.

    Raises:
        InputError: there are fewer groups than folds, or no such fold.
    """
    if not 0 <= fold < folds:
        raise InputError(f"there is no fold {fold} of {folds}; they are numbered from 0")
    parts = cut(dataset, folds, seed=seed)
    held_out = {dataset.examples[index].name for index in parts[fold]}
    learnt = {example.name for example in dataset.examples} - held_out
    return Split(dataset.subset(learnt), dataset.subset(held_out))


def cut(dataset: Dataset, folds: int, *, seed: int = 1) -> list[list[int]]:
    """Deal groups of near-duplicates out to folds, larger ones first, each to where it is missed most.

    Returns:
        The pictures' indices in each fold.
    """
    groups = near_groups(dataset.examples)
    if len(groups) < folds:
        scenes = counted(len(groups), "scene")
        fewer = f"ask for at most {len(groups)}" if len(groups) > 1 else "there is none to hold out"
        raise InputError(
            f"{counted(len(dataset.examples), 'picture')} of {scenes} cannot be cut into {folds} folds: "
            f"near-duplicates are one scene and stay together; {fewer}, or learn from all (fit --folds 1)"
        )
    order = np.random.default_rng(seed).permutation(len(groups))
    parts: list[list[int]] = [[] for _ in range(folds)]
    held = np.zeros((folds, len(dataset.labels) + 1))  # boxes of each class, and pictures
    for index in sorted(order, key=lambda number: -len(groups[number])):
        content = sum(_content(dataset, picture) for picture in groups[index])
        crowded = [
            float(((held[fold] + content) ** 2).sum() - (held[fold] ** 2).sum()) for fold in range(folds)
        ]
        fold = int(np.argmin(crowded))
        parts[fold] += groups[index]
        held[fold] += content
    return [sorted(part) for part in parts]


def _content(dataset: Dataset, picture: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    counts = np.zeros(len(dataset.labels) + 1)
    for box in dataset.examples[picture].boxes:
        counts[dataset.labels.id_of(box.label) - 1] += 1
    counts[-1] = 1
    return counts


def groups_cut(groups: Sequence[Sequence[int]], held_out: set[int]) -> list[Sequence[int]]:
    """The groups that a split tears apart: some of their pictures are held out, some are not."""
    return [group for group in groups if 0 < len(held_out & set(group)) < len(group)]
