"""What a run is given: how thorough to be, where things lie, how to tell what it is doing."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.bodies import Body


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the benchmarks."""

    out: Path  # where the report and its plots go
    bodies: dict[str, Body]
    quick: bool
    begun: float = field(default_factory=time.monotonic)

    def rounds(self, full: int) -> int:
        """How many rounds: a third of them, and at least three, where it has to be quick."""
        return max(3, full // 3) if self.quick else full

    def requests(self, full: int) -> int:
        """How many requests: half of them where it has to be quick."""
        return max(1, full // 2) if self.quick else full

    def tell(self, words: str) -> None:
        """Progress, on standard error."""
        print(f"[{time.monotonic() - self.begun:5.0f} s] {words}", file=sys.stderr, flush=True)
