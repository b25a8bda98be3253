"""How a version folder becomes a servable: which format, with or without batches, warmed up, counted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sightline_serving.model_server.batch_scheduler import BatchingOptions, BatchScheduler
from sightline_serving.model_server.batching import BatchingSession
from sightline_serving.model_server.batching_files import read_batching
from sightline_serving.model_server.metrics import MICROSECONDS, Metrics
from sightline_serving.model_server.options import Options
from sightline_serving.model_server.saved_model import load_saved_model
from sightline_serving.model_server.servable import Servable
from sightline_serving.model_server.session_config import session_config
from sightline_serving.model_server.status import StatusError
from sightline_serving.model_server.tflite_model import TFLITE_FILE, load_tflite_model
from sightline_serving.model_server.warmup import warm_up

PER_MODEL_BATCHING_FILE: Final = "batching_params.pbtxt"


@dataclass(frozen=True, slots=True)
class VersionLoader:
    """Loads versions as the flags say. Called with name, version and folder."""

    metrics: Metrics
    tags: tuple[str, ...] = ("serve",)
    session_config: Any = None  # a ConfigProto, or None for TensorFlow's own choice
    prefer_tflite: bool = False
    tflite_interpreters: int = 0
    scheduler: BatchScheduler | None = None  # None for no batching
    batching: BatchingOptions | None = None  # None for what each model's own file says
    warm_up: bool = True
    warm_up_iterations: int = 1

    def __call__(self, name: str, version: int, folder: Path) -> Servable:
        """The loaded version.

        Raises:
            StatusError: why it cannot serve.
        """
        began = time.perf_counter()
        try:
            servable = self._load(name, version, folder)
        except StatusError:
            self.metrics.load_attempt_count.add(str(folder), "fail")
            raise
        self.metrics.load_attempt_count.add(str(folder), "success")
        elapsed = int((time.perf_counter() - began) * MICROSECONDS)
        self.metrics.load_latency.add(str(folder), amount=elapsed)
        return servable

    def _load(self, name: str, version: int, folder: Path) -> Servable:
        batching = self._batching(folder)  # first, so that an unsound file leaves nothing half loaded
        if self.prefer_tflite and (folder / TFLITE_FILE).is_file():
            servable = load_tflite_model(name, version, folder, interpreters=self.tflite_interpreters)
        else:
            servable = load_saved_model(name, version, folder, tags=self.tags, config=self.session_config)
        try:
            if self.warm_up:
                warm_up(servable, folder, self.metrics, iterations=self.warm_up_iterations)
        except StatusError:
            servable.retire()
            raise
        if batching is not None and self.scheduler is not None:
            servable.session = BatchingSession(servable.session, batching, self.scheduler, self.metrics)
        return servable

    def _batching(self, folder: Path) -> BatchingOptions | None:
        if self.scheduler is None or self.batching is not None:
            return self.batching
        file = folder / PER_MODEL_BATCHING_FILE
        return read_batching(str(file))[0] if file.is_file() else None


def make_loader(options: Options, metrics: Metrics) -> VersionLoader:
    """The loader that the flags ask for.

    Raises:
        StatusError: a file that they name is unsound.
    """
    scheduler = batching = None
    if options.enable_batching:
        batching, threads = read_batching(options.batching_parameters_file)
        scheduler = BatchScheduler(threads.count, threads.name)
    return VersionLoader(
        metrics,
        tags=tuple(options.saved_model_tags.split(",")),
        session_config=session_config(options),
        prefer_tflite=options.prefer_tflite_model,
        tflite_interpreters=options.num_tflite_interpreters_per_pool,
        scheduler=scheduler,
        batching=None if options.enable_per_model_batching_parameters else batching,
        warm_up=options.enable_model_warmup,
        warm_up_iterations=max(1, options.num_request_iterations_for_warmup),
    )
