"""An evaluation as a folder of plots and pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sightline.detections import Detection, ImageSize
from sightline.draw import draw
from sightline.geometry import Stretch
from sightline.images import decode, encode_jpeg
from sightline_training.examples import Example
from sightline_training.findings import Findings
from sightline_training.plots import ink_of, name_classes, save, text_of
from sightline_training.replacing import new_folder
from sightline_training.workflow import Evaluated

_WORST: Final = 12  # false alarms, and as many misses
_LONGEST: Final = 640  # pixels of a drawn picture's longer side
_LONGEST_NAME: Final = 200  # bytes; file systems take 255, and something stands before and after it
CURVES: Final = "precision-recall.png"  # by which a report's folder is known, too


def write_report(folder: Path, evaluated: Evaluated) -> Path:
    """Write metrics, precision-recall curves, the confusion matrix and the worst cases.

    Args:
        folder: where to; it appears when the last file is written, and takes the place of an older report.
        evaluated: what an evaluation found.

    Returns:
        The folder.

    Raises:
        InputError: the folder is there already, and is no report.
    """
    findings = evaluated.findings
    thresholds = findings.thresholds()
    with new_folder(folder, kind=CURVES) as part:
        facts = {"metrics": evaluated.metrics.flat(), "thresholds": thresholds}
        (part / "metrics.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
        _plot_curves(part / CURVES, findings)
        _plot_confusion(part / "confusion.png", findings, findings.confusion(thresholds))
        _draw_worst(part, evaluated, thresholds)
    return folder


def _plot_curves(path: Path, findings: Findings) -> None:
    from matplotlib.figure import Figure  # the object interface: no window system, no global state

    figure = Figure(figsize=(5, 4))
    axes = figure.subplots()
    for class_id, label in findings.labels.items():
        curve = findings.curve(class_id)
        axes.step(curve.recall, curve.precision, where="post", label=text_of(label), color=ink_of(class_id))
    axes.set(xlabel="recall", ylabel="precision at IoU 0.5", xlim=(0, 1.02), ylim=(0, 1.02))
    name_classes(axes, len(findings.labels))
    save(figure, path)


def _plot_confusion(path: Path, findings: Findings, table: NDArray[np.int64]) -> None:
    from matplotlib.figure import Figure

    names = ["nothing", *map(text_of, findings.labels.values())]
    side = 2.5 + 0.5 * len(names)
    figure = Figure(figsize=(side, side))
    axes = figure.subplots()
    axes.imshow(table, cmap="Blues")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="the detector says", ylabel="the label says")
    for (row, column), count in np.ndenumerate(table):
        dark = count > table.max() / 2
        axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else "black")
    save(figure, path)


def _draw_worst(folder: Path, evaluated: Evaluated, thresholds: dict[int, float]) -> None:
    findings, examples = evaluated.findings, evaluated.dataset.examples
    (folder / "false-alarms").mkdir()
    for rank, item in enumerate(findings.false_alarms(_WORST), 1):
        label = findings.labels[item.class_id]
        picture = drawn(examples[item.picture], [(label, item.class_id, item.score, item.box)])
        (folder / "false-alarms" / f"{rank:02d}-{file_stem(examples[item.picture])}.jpg").write_bytes(picture)
    (folder / "misses").mkdir()
    for rank, missed in enumerate(findings.misses(_WORST, thresholds), 1):
        label = findings.labels[missed.class_id]
        picture = drawn(examples[missed.picture], [(label, missed.class_id, missed.score, missed.box)])
        (folder / "misses" / f"{rank:02d}-{file_stem(examples[missed.picture])}.jpg").write_bytes(picture)


def drawn(
    example: Example, boxes: Iterable[tuple[str, int, float, tuple[float, float, float, float]]]
) -> bytes:
    """A picture with boxes on it, as JPEG bytes."""
    pixels = decode(example.read()).pixels
    scale = min(1.0, _LONGEST / max(example.width, example.height))
    small = Stretch(round(example.height * scale), round(example.width * scale)).apply(pixels)
    size = ImageSize(example.width, example.height)
    found = [Detection.make(label, class_id, score, box, size) for label, class_id, score, box in boxes]
    return encode_jpeg(draw(small, found))


def file_stem(example: Example) -> str:
    """A picture's name as a part of a file's: records may call theirs by paths, or by whole addresses."""
    plain = example.name.replace("/", "-").replace("\0", "-")
    return plain.encode()[:_LONGEST_NAME].decode(errors="ignore")
