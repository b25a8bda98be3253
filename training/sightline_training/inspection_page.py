"""An inspection as a page of pictures and plots."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sightline_training.examples import Dataset, LeftOut
from sightline_training.findings import Found
from sightline_training.inspection import Inspection
from sightline_training.missing_labels import MissingLabel
from sightline_training.plots import ink_of, name_classes, save, text_of
from sightline_training.replacing import new_folder
from sightline_training.report import drawn, file_stem

_SHOWN: Final = 40  # pictures under each heading; the rest are listed by name

Corners = tuple[float, float, float, float]  # ymin xmin ymax xmax, 0 to 1
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "figure{display:inline-block;margin:.5rem;width:15rem;vertical-align:top}figure img{width:100%}"
    "p>img{max-width:100%}"
    "figcaption{font-size:.8rem}table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:left}"
)


def write_page(folder: Path, inspection: Inspection) -> Path:
    """Write `index.html`, its plots and pictures. Returns the page's path.

    Raises:
        InputError: the folder is there already.
    """
    with new_folder(folder) as part:
        (part / "pictures").mkdir()
        _plot(part / "sizes.png", inspection)
        body = [
            "<h1>Data set</h1>",
            _classes(inspection),
            *_notes(inspection),
            '<p><img src="sizes.png" alt="sizes of pictures and boxes"></p>',
        ]
        figures = _Figures(part, inspection.dataset)
        if inspection.missing:
            body += ["<h2>Pictures that probably miss a label</h2>", *figures.missing(inspection.missing)]
        if inspection.problems:
            body += ["<h2>Worth a look</h2>", *figures.problems(inspection.problems)]
        for number, group in enumerate(inspection.groups):
            body.append(f"<h2>Near-duplicates {number + 1}</h2>")
            body += figures.problems([LeftOut(name, "") for name in group])
        if inspection.left_out:
            listed = "".join(
                f"<li>{html.escape(item.name)}: {html.escape(item.reason)}</li>"
                for item in inspection.left_out
            )
            body.append(f"<h2>Left out</h2><ul>{listed}</ul>")
        head = f'<meta charset="utf-8"><title>Data set</title><style>{_STYLE}</style>'
        lines = ['<!doctype html><html lang="en">', head, *body, "</html>", ""]
        (part / "index.html").write_text("\n".join(lines), encoding="utf-8")
    return folder / "index.html"


def _classes(inspection: Inspection) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{inspection.pictures_of[name]}</td><td>{boxes}</td></tr>"
        for name, boxes in inspection.boxes_of.items()
    )
    return f"<table><tr><th>class</th><th>pictures</th><th>boxes</th></tr>{rows}</table>"


def _notes(inspection: Inspection) -> list[str]:
    aliases = [f"{written!r} is taken for {name!r}" for written, name in inspection.aliases.items()]
    said = [*inspection.dataset.notes, *aliases]
    return [f"<p>{html.escape(line)}</p>" for line in said]


class _Figures:
    """Pictures with their boxes, each with what is said of it."""

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        self._folder = folder / "pictures"
        self._dataset = dataset
        self._by_name = {example.name: example for example in dataset.examples}
        self._numbers = {name: number for number, name in enumerate(self._by_name)}

    def problems(self, items: Sequence[LeftOut]) -> list[str]:
        """Pictures with their labels."""
        return self._some([(item.name, item.reason, None) for item in items])

    def missing(self, items: Sequence[MissingLabel]) -> list[str]:
        """Pictures with their labels and what a detector finds beside them."""
        return self._some([(item.name, item.reason, item.found) for item in items])

    def _some(self, items: Sequence[tuple[str, str, Found | None]]) -> list[str]:
        figures = [self._figure(*item) for item in items[:_SHOWN]]
        return [*figures, *(f"<p>{html.escape(f'{name}: {said}')}</p>" for name, said, _ in items[_SHOWN:])]

    def _figure(self, name: str, said: str, found: Found | None) -> str:
        mark = "" if found is None else f"-{found.class_id}-{found.score:.4f}"
        stem = f"{self._numbers[name]:04d}-{file_stem(self._by_name[name])}"  # two names may have one stem
        file = self._folder / f"{stem}{mark}.jpg"
        if not file.exists():
            file.write_bytes(drawn(self._by_name[name], self._boxes(name, found)))
        caption = html.escape(f"{name}: {said}" if said else name)
        source = html.escape(f"pictures/{quote(file.name)}")
        image = f'<a href="{source}"><img src="{source}" alt=""></a>'
        return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"

    def _boxes(self, name: str, found: Found | None) -> list[tuple[str, int, float, Corners]]:
        labels = self._dataset.labels
        boxes = [
            (box.label, labels.id_of(box.label), 1.0, (box.ymin, box.xmin, box.ymax, box.xmax))
            for box in self._by_name[name].boxes
        ]
        if found is not None:
            question = f"{labels.by_id[found.class_id]}?"
            boxes.append((question, len(labels) + found.class_id, found.score, found.box))
        return boxes


def _plot(path: Path, inspection: Inspection) -> None:
    from matplotlib.figure import Figure  # the object interface: no window system, no global state

    figure = Figure(figsize=(9, 4))
    left, right = figure.subplots(1, 2)
    examples = inspection.dataset.examples
    left.scatter([e.width for e in examples], [e.height for e in examples], s=8)
    left.set(xlabel="width, pixels", ylabel="height, pixels", title="pictures")
    for class_id, name in inspection.dataset.labels.by_id.items():
        boxes = [box for e in examples for box in e.boxes if box.label == name]
        wide, high = [box.xmax - box.xmin for box in boxes], [box.ymax - box.ymin for box in boxes]
        right.scatter(wide, high, s=8, label=text_of(name), color=ink_of(class_id))
    right.set(xlabel="width, share of the picture", ylabel="height, share of the picture", title="boxes")
    name_classes(right, len(inspection.dataset.labels))
    save(figure, path)
