"""What numbers of a recipe may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sightline.errors import InputError

_DIGITS: Final = ".10g"  # enough for a seed's 32 bits


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`, both taken; without `low` itself where it is `open`."""

    low: float
    high: float = math.inf
    open: bool = False

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.open else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        least = f"{'more than' if self.open else 'at least'} {self.low:{_DIGITS}}"
        return least if math.isinf(self.high) else f"{least} and at most {self.high:{_DIGITS}}"


SHARE = Range(0, 1)


def check(options: object, ranges: Mapping[str, Range]) -> None:
    """Hold an object's attributes against their ranges; None is passed over.

    Raises:
        InputError: naming the first that is out of its own. NaN is in none.
    """
    for name, allowed in ranges.items():
        value = getattr(options, name)
        if value is not None and value not in allowed:
            raise InputError(f"{name} is {value}; it must be {allowed}")
