"""An inspection as a page of pictures and plots."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Final

from sightline_training.examples import Example, LeftOut
from sightline_training.inspection import Inspection
from sightline_training.replacing import new_folder
from sightline_training.report import drawn_boxes

_SHOWN: Final = 40  # pictures under each heading; the rest are listed by name
_DPI: Final = 100
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "figure{display:inline-block;margin:.5rem;width:15rem;vertical-align:top}figure img{width:100%}"
    "figcaption{font-size:.8rem}table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:left}"
)


def write_page(folder: Path, inspection: Inspection) -> Path:
    """Write `index.html`, its plots and pictures. Returns the page's path.

    Raises:
        InputError: the folder is there already.
    """
    by_name = {example.name: example for example in inspection.dataset.examples}
    with new_folder(folder) as part:
        (part / "pictures").mkdir()
        _plot(part / "sizes.png", inspection)
        body = [
            "<h1>Data set</h1>",
            _classes(inspection),
            '<p><img src="sizes.png" alt="sizes of pictures and boxes"></p>',
        ]
        for number, group in enumerate(inspection.groups):
            items = [LeftOut(name, "") for name in group]
            body += [f"<h2>Near-duplicates {number + 1}</h2>", *_figures(part, items, by_name)]
        if inspection.problems:
            body += ["<h2>Worth a look</h2>", *_figures(part, inspection.problems, by_name)]
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


def _figures(
    folder: Path, items: tuple[LeftOut, ...] | list[LeftOut], by_name: dict[str, Example]
) -> list[str]:
    figures = []
    for item in items[:_SHOWN]:
        example = by_name[item.name]
        file = folder / "pictures" / f"{item.name.replace('/', '_')}.jpg"
        if not file.exists():
            file.write_bytes(drawn_boxes(example))
        caption = html.escape(f"{item.name} {item.reason}".strip())
        source = html.escape(f"pictures/{file.name}")
        figures.append(f'<figure><img src="{source}" alt=""><figcaption>{caption}</figcaption></figure>')
    figures += [f"<p>{html.escape(item.name)}: {html.escape(item.reason)}</p>" for item in items[_SHOWN:]]
    return figures


def _plot(path: Path, inspection: Inspection) -> None:
    from matplotlib.figure import Figure  # the object interface: no window system, no global state

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    examples = inspection.dataset.examples
    left.scatter([e.width for e in examples], [e.height for e in examples], s=8)
    left.set(xlabel="width, pixels", ylabel="height, pixels", title="pictures")
    for name in inspection.dataset.labels:
        boxes = [box for e in examples for box in e.boxes if box.label == name]
        wide, high = [box.xmax - box.xmin for box in boxes], [box.ymax - box.ymin for box in boxes]
        right.scatter(wide, high, s=8, label=name)
    right.set(xlabel="width of the picture's", ylabel="height of the picture's", title="boxes")
    right.legend()
    figure.savefig(path, dpi=_DPI)
