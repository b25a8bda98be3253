"""Sections of figures -> report.md and report.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.rounds import Summary, plain


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header; cells are text, numbers or summaries."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]

    def __str__(self) -> str:
        lines = [_row(self.header), _row(["---"] * len(self.header))]
        lines += [_row([_cell(cell) for cell in row]) for row in self.rows]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure was to reach."""

    what: str
    value: float
    limit: float
    at_most: bool = True  # else at least

    @property
    def reached(self) -> bool:
        """Whether it is."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def row(self) -> list[object]:
        """For the table at the top."""
        word = "at most" if self.at_most else "at least"
        return [self.what, f"{self.value:.2f}", f"{word} {self.limit:g}", "yes" if self.reached else "**no**"]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report."""

    title: str
    parts: Sequence[str | Table]  # paragraphs, pictures as Markdown, tables
    aims: Sequence[Aim] = ()
    data: Any = field(default_factory=dict)  # everything measured, for the JSON


def write(folder: Path, machine: dict[str, Any], sections: Sequence[Section], notes: Sequence[str]) -> Path:
    """Write report.md and report.json, each beside its place and renamed; gives the former."""
    lines = ["# How close to the floor", "", *_about(machine), ""]
    aims = [aim for section in sections for aim in section.aims]
    if aims:
        lines += [str(Table(["", "measured", "aim", "reached"], [aim.row() for aim in aims])), ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for part in section.parts:
            lines += [str(part), ""]
    if notes:
        lines += ["## Not measured", "", *[f"- {note}" for note in notes], ""]
    data = {
        "machine": machine,
        "sections": {section.title: plain(section.data) for section in sections},
        "aims": [
            {"what": aim.what, "value": aim.value, "limit": aim.limit, "reached": aim.reached} for aim in aims
        ],
        "not_measured": list(notes),
    }
    _replace(folder / "report.json", json.dumps(data, indent=1, default=str) + "\n")
    report = folder / "report.md"
    _replace(report, "\n".join(lines).rstrip() + "\n")
    return report


def _about(machine: dict[str, Any]) -> list[str]:
    facts = "; ".join(f"{key}: {value}" for key, value in machine.items())
    return [
        "Made by `make bench`; all of it in one run. CPU time comes first, as it is what a request costs; "
        "wall-clock depends on who else uses the machine. Contenders are measured in turns, round by round; "
        "figures are medians over the rounds, ± half the distance between the quartiles.",
        "",
        f"{facts}.",
    ]


def _cell(value: object) -> str:
    if isinstance(value, Summary | str):
        return str(value)
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:.0f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _replace(path: Path, text: str) -> None:
    beside = path.with_suffix(path.suffix + ".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
