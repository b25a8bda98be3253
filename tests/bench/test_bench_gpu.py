from __future__ import annotations

from pathlib import Path

import pytest

from bench.bodies import prepare
from bench.lines import gpu
from bench.report import Table
from bench.run import Run

Found = dict[str, list[object]]


def found(*boxes: tuple[float, float, list[float]]) -> Found:
    """Score, class, box."""
    return {
        "detection_scores": [score for score, _, _ in boxes],
        "detection_classes": [kind for _, kind, _ in boxes],
        "detection_boxes": [box for _, _, box in boxes],
    }


def test_boxes_are_the_same_when_class_score_and_sides_are() -> None:
    first, second = [0.1, 0.2, 0.6, 0.5], [0.3, 0.5, 0.9, 0.9]
    here = found((0.9, 1, first), (0.8, 2, second), (0.7, 1, second), (0.1, 1, first))
    there = found((0.805, 2, [0.305, 0.5, 0.9, 0.9]), (0.9, 1, first), (0.75, 1, second))
    assert gpu._agreement("the GPU", here, there).startswith("Of the 3 boxes")
    assert "2 are among the 3 of the CPU" in gpu._agreement("the GPU", here, there)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_line_is_measured_on_cpus_as_it_is_on_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "_BATCHES", (1, 2))
    monkeypatch.setattr(gpu, "_LARGEST", 2)
    monkeypatch.setattr(gpu, "_CLIENTS", (1, 4))
    monkeypatch.setattr(gpu, "_REQUESTS", 16)
    monkeypatch.setattr(gpu, "_ROUNDS", 1)
    monkeypatch.setattr(gpu, "_ALONE_ROUNDS", 1)
    section = gpu.measure(Run(out=tmp_path, bodies=prepare(), quick=True))
    batches, served = (part for part in section.parts if isinstance(part, Table))
    assert [row[:2] for row in batches.rows if row[0] == "as served"] == [["as served", 1], ["as served", 2]]
    clustered = "as served, clusters compiled by XLA"
    assert [row[:2] for row in batches.rows if row[0] == clustered] == [[clustered, 1], [clustered, 2]]
    assert [row[:2] for row in served.rows] == [
        ["as served", 1],
        ["as served", 4],
        [clustered, 1],
        [clustered, 4],
    ]
    assert any("CPUs (no GPU here)" in str(part) for part in section.parts)
    assert (tmp_path / "gpu.png").stat().st_size > 1000
    assert not section.data["failed"]
