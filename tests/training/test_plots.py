"""Plots of many classes: each has its own color, and its name is there to be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from support.labelled import drawn_examples

from sightline.contract import DETECTION_OUTPUTS
from sightline.draw import color_of
from sightline_training.coco_metrics import measure
from sightline_training.examples import Dataset
from sightline_training.findings import Findings
from sightline_training.inspection import inspect
from sightline_training.inspection_page import write_page
from sightline_training.labels import LabelMap
from sightline_training.report import write_report
from sightline_training.workflow import Evaluated

_CLASSES = 45  # more than a column of the legend takes, and than matplotlib has colors


def _many(folder: Path) -> Dataset:
    """Pictures of two classes, in a data set that has many more: their colors are in the legend alone."""
    drawn = drawn_examples(folder, 2)
    others = tuple(f"a droid of the kind {number}" for number in range(_CLASSES - 5))
    signs = ("_hidden", "5$ or 10$", "$\\frac$")  # of matplotlib's own language
    return replace(drawn, labels=LabelMap((*drawn.labels.names, *others, *signs)))


def _colors(path: Path) -> NDArray[np.uint8]:
    found = cv2.imread(str(path))
    assert found is not None
    return np.unique(found[..., ::-1].reshape(-1, 3), axis=0)


def _assert_all_are_named(plot: Path) -> None:
    there = {tuple(map(int, color)) for color in _colors(plot)}
    assert [number for number in range(1, _CLASSES + 1) if color_of(number) not in there] == []


def test_an_inspection_names_every_class(tmp_path: Path) -> None:
    write_page(tmp_path / "page", inspect(_many(tmp_path / "pictures")))
    _assert_all_are_named(tmp_path / "page" / "sizes.png")


def test_a_report_names_every_class(tmp_path: Path) -> None:
    dataset = _many(tmp_path / "pictures")
    shapes = dict(zip(DETECTION_OUTPUTS, ((2, 1, 4), (2, 1), (2, 1), (2,)), strict=True))
    nothing = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    evaluated = Evaluated(dataset, measure(dataset, nothing), Findings.of(dataset, nothing))
    write_report(tmp_path / "report", evaluated)
    _assert_all_are_named(tmp_path / "report" / "precision-recall.png")
