"""A batch job: sources -> tasks -> an engine -> files and manifest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sightline.batch.engines import Engine
from sightline.batch.example_folder import ExampleFolder
from sightline.batch.manifest import Manifest
from sightline.batch.result_files import FORMATS, ResultFiles
from sightline.batch.sources import Source
from sightline.batch.tasks import Outcome, PicturesTask, SegmentTask, Task
from sightline.batch.work import Work
from sightline.errors import InputError
from sightline.video import Video

DEFAULT_SEGMENT: Final = 60.0  # seconds of video in one task
_WRITERS: Final = 8  # files synced at once: a disk takes as long for eight as for one


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How a job cuts up its work and what it leaves."""

    formats: tuple[str, ...] = FORMATS
    segment: float = DEFAULT_SEGMENT
    resume: bool = False


@dataclass(frozen=True, slots=True)
class JobSummary:
    """What became of a job's inputs, those of earlier runs included."""

    done: int
    failed: int
    records: int  # pictures and frames looked at
    detections: int


class Job:
    """One job in one folder.

    Args:
        folder: gets `results/`, `manifest.ndjson` and, while it runs, `.parts/`.
        work: how tasks are done.
        options: how it is cut up.
        examples: where hard examples go.

    Raises:
        InvalidOptionError: the folder holds another job, or one that is not to be continued.
        OSError: it cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        work: Work,
        options: JobOptions | None = None,
        *,
        examples: ExampleFolder | None = None,
    ) -> None:
        self._work, self._options, self._examples = work, options or JobOptions(), examples
        folder.mkdir(parents=True, exist_ok=True)
        self._manifest = Manifest(folder, self._identity(), resume=self._options.resume)
        self._files = ResultFiles(folder, self._options.formats)
        self._writers = ThreadPoolExecutor(_WRITERS)

    def run(self, sources: Iterable[Source], engine: Engine) -> Iterator[float]:
        """Do what is not done yet; gives, as it goes, the inputs that were just completed.

        A part of a video counts as that part of an input. Whatever ends the run, what was given is kept.

        Raises:
            SightlineError: the service refuses, or is away for too long.
            OSError: a file cannot be written.
        """
        waiting = [source for source in sources if source.address not in self._manifest.done]
        planned: list[float] = []  # inputs that were completed without a task
        for outcomes in engine.run(self._work, self._tasks(waiting, planned)):
            yield from planned
            planned.clear()
            self._take(outcomes)
            yield from (1 / outcome.parts for outcome in outcomes)
        yield from planned
        self._files.finish()

    def summary(self) -> JobSummary:
        """What became of the inputs so far."""
        lines = self._manifest.done.values()
        return JobSummary(
            done=sum(line["status"] == "done" for line in lines),
            failed=sum(line["status"] == "failed" for line in lines),
            records=sum(line.get("records", 0) for line in lines),
            detections=sum(line.get("detections", 0) for line in lines),
        )

    def failures(self) -> list[tuple[str, str]]:
        """Address and fault of each input that failed."""
        lines = self._manifest.done.values()
        return [(line["input"], line["error"]["detail"]) for line in lines if line["status"] == "failed"]

    def warnings(self) -> list[tuple[str, str]]:
        """Address and doubt of each input that was done, but may have been more than was there."""
        lines = self._manifest.done.values()
        return [(line["input"], line["warning"]) for line in lines if "warning" in line]

    def close(self) -> None:
        """Let go of the folder."""
        self._writers.shutdown(cancel_futures=True)
        self._manifest.close()

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _identity(self) -> dict[str, Any]:
        """What decides the results, and so must not change between runs of one job."""
        asked = self._work.options
        return {
            "model": str(self._work.model) if self._work.model else None,
            "threshold": asked.threshold,
            "max_detections": asked.max_detections,
            "classes": sorted(asked.classes) if asked.classes is not None else None,
            "fps": self._work.fps,
            "segment": self._options.segment,
            "formats": sorted(self._options.formats),
            "collect": self._work.collect is not None,
        }

    def _tasks(self, sources: Iterable[Source], planned: list[float]) -> Iterator[Task]:
        """Pictures in groups that are sent together, videos in the parts that are still missing."""
        group: list[Source] = []
        for source in sources:
            if source.kind == "picture":
                group.append(source)
                if len(group) == self._work.in_flight:
                    yield PicturesTask(tuple(group))
                    group = []
                continue
            try:
                parts, there = self._cut(source), self._files.parts_of(source)
            except InputError as fault:
                self._take([Outcome(source, error=fault.problem())])
                planned.append(1.0)
                continue
            if len(there) == len(parts):  # killed just before they were joined
                self._note([(source, self._joined(source))])
            planned.append(len(there) / len(parts))
            yield from (part for part in parts if part.index not in there)
        if group:
            yield PicturesTask(tuple(group))

    def _cut(self, source: Source) -> list[SegmentTask]:
        """The parts of a video.

        A video in an object store is one part: each would have to fetch the whole of it.
        """
        duration = None
        if source.is_local:
            with source.local() as path, Video(path) as video:
                duration = video.info.duration
        length = self._options.segment
        if self._work.fps is not None:  # cut where the sampling begins anew, or the seam would show
            length = math.ceil(length * self._work.fps) / self._work.fps
        count = max(1, math.ceil(duration / length)) if duration else 1
        ends = [*(part * length for part in range(1, count)), None]
        return [SegmentTask(source, part, count, part * length, end) for part, end in enumerate(ends)]

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        """Keep what came of a task. The files have their names before the manifest names them."""
        # Of a video that failed in one part, the others may still come.
        fresh = [outcome for outcome in outcomes if outcome.source.address not in self._manifest.done]
        if self._examples is not None:
            for outcome in fresh:
                self._examples.add(outcome.examples)
        kept = zip(fresh, self._writers.map(self._keep, fresh), strict=True)
        self._note([(outcome.source, line) for outcome, line in kept if line is not None])

    def _note(self, done: Sequence[tuple[Source, dict[str, Any]]]) -> None:
        self._manifest.add([line for _, line in done])
        for source, _ in done:
            if source.kind == "video":
                self._files.drop_parts(source)

    def _keep(self, outcome: Outcome) -> dict[str, Any] | None:
        """Write the files of an input; its line for the manifest, unless parts of it are still to come."""
        source = outcome.source
        if outcome.error is not None:
            return {"input": source.address, "status": "failed", "error": outcome.error}
        if source.kind == "picture":
            return {"input": source.address, "status": "done", **self._files.save(source, [outcome.lines])}
        return self._joined(source) if self._files.save_part(outcome) else None

    def _joined(self, source: Source) -> dict[str, Any]:
        told = self._files.save(source, self._files.joined(source))
        if warning := self._files.warning_of(source):
            told["warning"] = warning
        return {"input": source.address, "status": "done", **told}
