"""What the plots of classes share: their colors, their legend, and how they are saved."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sightline.draw import color_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROWS: Final = 15  # of a legend's column
_DPI: Final = 110


def ink_of(class_id: int) -> tuple[float, float, float]:
    """A class's red, green and blue, 0 to 1: those of its boxes on pictures, and no two classes' the same."""
    red, green, blue = color_of(class_id)
    return red / 255, green / 255, blue / 255


def text_of(label: str) -> str:
    """A label as matplotlib writes it: dollars are no formula, and a leading underscore hides nothing."""
    return (" " if label.startswith("_") else "") + label.replace("$", r"\$")


def name_classes(axes: Axes, classes: int) -> None:
    """Put the legend beside the axes, where it hides nothing however many classes there are."""
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1), ncols=math.ceil(classes / _ROWS), fontsize="small"
    )


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, grown by whatever lies beside its axes."""
    figure.savefig(path, dpi=_DPI, bbox_inches="tight")
