"""What a check says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105  # no password
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the examination."""

    subject: str  # what was looked at: a path, or `droids/versions/3`
    check: str  # stable; programs match on it
    outcome: Outcome
    found: str  # what is there; for a skipped check, why it was not made
    wanted: str = ""  # what would be right; empty where all is well

    def __str__(self) -> str:
        line = f"{self.outcome.value:<7}  {self.check:<17}  {self.found}"
        return f"{line}; wanted: {self.wanted}" if self.wanted else line

    def to_dict(self) -> dict[str, str]:
        """Plain values, for JSON."""
        return {key: str(value) for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Subject:
    """Makes the results for one thing that is looked at."""

    name: str

    def passed(self, check: str, found: str) -> CheckResult:
        """The check found what it wants."""
        return CheckResult(self.name, check, Outcome.PASS, found)

    def failed(self, check: str, found: str, wanted: str) -> CheckResult:
        """The check found something else."""
        return CheckResult(self.name, check, Outcome.FAIL, found, wanted)

    def skipped(self, check: str, why: str, wanted: str = "") -> CheckResult:
        """The check could not be made; `wanted` says what makes it possible."""
        return CheckResult(self.name, check, Outcome.SKIPPED, why, wanted)

    def judged(self, check: str, faults: list[str], found: str, wanted: str) -> CheckResult:
        """Failed with its faults, or passed with what was found if there are none."""
        return self.failed(check, "; ".join(faults), wanted) if faults else self.passed(check, found)
