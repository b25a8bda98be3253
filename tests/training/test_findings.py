"""What an evaluation found: thresholds, confusion, misses and false alarms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.labelled import write_voc

from sightline_training.findings import Curve, Findings


def test_thresholds_and_confusion_of_known_findings(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path, 6)
    most = 4
    outputs = {
        "detection_boxes": np.zeros((6, most, 4), np.float32),
        "detection_scores": np.zeros((6, most), np.float32),
        "detection_classes": np.zeros((6, most), np.float32),
        "num_detections": np.zeros(6, np.float32),
    }
    wanted = 0
    for number, example in enumerate(dataset.examples):
        for slot, box in enumerate(example.boxes):
            wanted += 1
            outputs["detection_boxes"][number, slot] = example.corners()[slot]
            outputs["detection_scores"][number, slot] = 0.9
            outputs["detection_classes"][number, slot] = dataset.labels.id_of(box.label)
        false = len(example.boxes)
        outputs["detection_boxes"][number, false] = (0.0, 0.0, 0.01, 0.01)
        outputs["detection_scores"][number, false] = 0.3
        outputs["detection_classes"][number, false] = 1
        outputs["num_detections"][number] = false + 1
    findings = Findings.of(dataset, outputs)
    thresholds = findings.thresholds()
    assert 0.3 < thresholds[1] < 0.9
    table = findings.confusion(thresholds)
    assert table.trace() == wanted
    assert table.sum() == wanted
    strict = findings.confusion({1: 0.95, 2: 0.95})
    assert strict[1:, 0].sum() == wanted
    assert len(findings.false_alarms(10)) == 6
    assert findings.misses(10, thresholds) == []


def test_a_threshold_lies_between_the_scores_that_it_parts() -> None:
    close = Curve(np.array([0.027789, 0.027636]), np.array([1.0, 0.5]), np.array([1.0, 1.0]))
    assert close.best_threshold() == 0.0277
    apart = Curve(np.array([0.9, 0.3]), np.array([1.0, 0.5]), np.array([1.0, 1.0]))
    assert apart.best_threshold() == 0.6
    equal = Curve(np.array([0.5, 0.5, 0.5]), np.array([1.0, 1.0, 0.6]), np.array([0.5, 1.0, 1.0]))
    assert equal.best_threshold() == 0.5
    nothing = Curve(np.array([0.5]), np.array([0.0]), np.array([0.0]))
    assert nothing.best_threshold() is None
