"""Names that people give one class: `r2d2`, `r2-d2`, `R2-D2`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sightline_training.labels import LabelMap

_NOISE: Final = re.compile(r"[\W_]+")


def plain_name(label: str) -> str:
    """What is left of a label without case, spaces and punctuation: equal for one class's spellings."""
    return _NOISE.sub("", label.casefold()) or label


class Spellings:
    """Takes every spelling of a class to the label map's own."""

    def __init__(self, labels: LabelMap) -> None:
        known = {**labels.also, **{name: name for name in labels}}
        self._names = {plain_name(name): own for name, own in known.items()} | known

    def own(self, label: str) -> str | None:
        """The label map's spelling; None where the map has no such class."""
        return self._names.get(label) or self._names.get(plain_name(label))


def with_other_names(labels: LabelMap, own: LabelMap) -> LabelMap:
    """The classes of `labels`, known also by the other names that a data set's own map has for them."""
    spellings = Spellings(labels)
    also = dict(labels.also)
    for other, name in own.also.items():
        taken = spellings.own(name) or spellings.own(other)
        if taken is not None:
            also |= {other: taken, name: taken}
    return replace(labels, also=also)


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """The names in their order, of each class the first spelling."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(plain_name(name), name)
    return tuple(first.values())


def label_map_of(labels: Iterable[str]) -> LabelMap:
    """A label map for data that comes without one: one class for all spellings, named by the commonest.

    Of equally common ones the first in alphabetical order is taken.
    """
    counts: dict[str, dict[str, int]] = {}
    for label in labels:
        spellings = counts.setdefault(plain_name(label), {})
        spellings[label] = spellings.get(label, 0) + 1
    return LabelMap.of(
        min(spellings, key=lambda name: (-spellings[name], name)) for spellings in counts.values()
    )
