"""Small PNG plots beside the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

Series = Mapping[str, Sequence[tuple[float, float]]]  # name -> points


def lines(path: Path, series: Series, *, x: str, y: str, log_x: bool = False, log_y: bool = False) -> str:
    """Draw lines with markers; gives the picture as Markdown."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.2, 3.1), dpi=90)
    for name, points in series.items():
        style = "o" if "measured" in name and len(series) > 1 else "o-"
        axes.plot(*zip(*points, strict=True), style, label=name, markersize=4)
    if log_x:
        axes.set_xscale("log", base=2)
    if log_y:
        axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if not log_y:
        axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
    return f"![{y} against {x}]({path.name})"
