"""Prometheus metrics, correct over several worker processes.

prometheus_client's multiprocess mode: each worker writes its numbers to files of its own in one folder
(`PROMETHEUS_MULTIPROC_DIR`, set before the import), and whichever worker is scraped adds them up. A dead
worker's counters stay, so that no counter ever falls; its gauges go.
"""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from sightline.detections import Detection, ModelVersion
from sightline_serving.gateway.settings import METRICS_FOLDER_VARIABLE
from sightline_serving.gateway.shadow import ShadowMetrics

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
STAGES: Final = ("read", "decode", "resize", "predict", "postprocess", "encode")
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_REQUEST_SECONDS: Final = (*_SECONDS, 30, 60, 120, 300, 600)  # a film takes minutes
_SCORES: Final = tuple(tenth / 10 for tenth in range(1, 10))
Found = tuple[ModelVersion, Sequence[Detection]]  # of one picture: what answered, and what it found
_PROCESS_FILE: Final = re.compile(r"gauge_live\w*_(\d+)\.db")


class Metrics:
    """The gateway's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "sightline_requests",
            "Requests by route, HTTP status and the model and version that answered.",
            ("route", "status", "model", "version"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "sightline_request_seconds",
            "Time from the request's arrival in a worker to its answer.",
            ("route",),
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        stages = Histogram(
            "sightline_stage_seconds",
            "Time in each stage of the way from bytes to boxes.",
            ("stage",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._stages = {stage: stages.labels(stage) for stage in STAGES}
        self.in_flight = Gauge(
            "sightline_requests_in_flight",
            "Detection requests being read, waiting or worked on.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.frames = Counter(
            "sightline_frames",
            "Pictures and video frames that a model has answered.",
            ("model", "version"),
            registry=registry,
        )
        self.detections = Counter(
            "sightline_detections",
            "Objects found, by label.",
            ("model", "version", "label"),
            registry=registry,
        )
        self.scores = Histogram(
            "sightline_detection_score",
            "Scores of the objects found.",
            ("model", "version"),
            buckets=_SCORES,
            registry=registry,
        )
        self.shadow = ShadowMetrics(registry)
        self.errors = Counter("sightline_errors", "Problem documents by code.", ("code",), registry=registry)

    def stage(self, name: str, milliseconds: float) -> None:
        """Time spent in one of STAGES; another is left out."""
        if (stage := self._stages.get(name)) is not None:
            stage.observe(milliseconds / 1000)

    def found(self, model: ModelVersion, detections: Sequence[Detection], *, pictures: int = 1) -> None:
        """What a model answered for a picture, or for several together."""
        of = (model.name, str(model.version))
        self.frames.labels(*of).inc(pictures)
        if detections:
            scores = self.scores.labels(*of)
            for detection in detections:
                scores.observe(detection.score)
            for label, count in collections.Counter(found.label for found in detections).items():
                self.detections.labels(*of, label).inc(count)

    def exposition(self) -> bytes:
        """All workers' numbers in Prometheus's text format."""
        folder = os.environ.get(METRICS_FOLDER_VARIABLE)
        if not folder:
            return generate_latest(self._registry)
        _forget_dead(Path(folder))
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _forget_dead(folder: Path) -> None:
    """Remove the gauges of workers that are no more, however they ended."""
    for file in folder.glob("gauge_live*.db"):
        match = _PROCESS_FILE.fullmatch(file.name)
        if match and not Path(f"/proc/{match[1]}").exists() and Path("/proc/self").exists():
            file.unlink(missing_ok=True)
