"""An inspection in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from sightline.counted import counted

if TYPE_CHECKING:
    from sightline_training.inspection import Inspection, Spread


def print_inspection(found: Inspection) -> None:
    """Print the tables, then each thing worth a look, on a line of its own."""
    console = Console()
    classes = Table("class", "pictures", "boxes", title=counted(len(found.dataset.examples), "picture"))
    for name, boxes in found.boxes_of.items():
        classes.add_row(name, str(found.pictures_of[name]), str(boxes))
    classes.add_row("(none)", str(found.empty), "0")
    console.print(classes)
    sizes = Table("", "least", "median", "most")
    sizes.add_row("shorter side, pixels", *_numbers(found.sides, 0))
    sizes.add_row("picture, width to height", *_numbers(found.shapes, 2))
    sizes.add_row("box side to picture side", *_numbers(found.box_sides, 2))
    sizes.add_row("box, width to height", *_numbers(found.box_shapes, 2))
    console.print(sizes)
    for note in found.dataset.notes:
        click.echo(f"note: {note}")
    for written, name in found.aliases.items():
        click.echo(f"alias: {written!r} is taken for {name!r}")
    for group in found.groups:
        click.echo(f"near-duplicates: {', '.join(group)}")
    if found.groups:
        click.echo("fit and crossval keep near-duplicates on one side of their split")
    for ours, theirs in found.torn:
        click.echo(f"torn: {ours} is nearly the same as {theirs} in the other set")
    for item in found.problems:
        click.echo(f"look: {item.name}: {item.reason}")
    for missing in found.missing:
        click.echo(f"may miss a label: {missing.name}: {missing.reason}")
    for item in found.left_out:
        click.echo(f"left out: {item.name}: {item.reason}")


def _numbers(spread: Spread, digits: int) -> list[str]:
    return [f"{value:.{digits}f}" for value in (spread.least, spread.median, spread.most)]
