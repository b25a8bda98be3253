"""A video in, a line of JSON for each frame out, as it is found."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import orjson
from flask import Blueprint, Response, request

from sightline.contract import ModelRef
from sightline.errors import OverloadedError, SightlineError
from sightline.frame_result import FrameResult, Tally
from sightline.options import DetectOptions
from sightline.pipeline import batched, in_order
from sightline.video import Frame
from sightline_serving.gateway import observe, problems
from sightline_serving.gateway.metrics import Metrics
from sightline_serving.gateway.observe import Noted
from sightline_serving.gateway.parts import Parts
from sightline_serving.gateway.routes import addresses
from sightline_serving.gateway.video_frames import DecodedVideo
from sightline_serving.gateway.video_requests import read_video
from sightline_serving.gateway.video_rooms import VideoRooms

NDJSON_TYPE: Final = "application/x-ndjson"
BATCH: Final = 4  # frames in one request to Serving
BATCHES_IN_FLIGHT: Final = 2  # one is predicted while the next is decoded
log = logging.getLogger(__name__)


def blueprint(parts: Parts) -> Blueprint:
    """`POST …:detectVideo`."""
    routes = Blueprint("video", __name__)
    rooms = VideoRooms(parts.settings.max_videos, parts.settings.max_video)

    def detect_video(
        model: str | None = None, version: int | None = None, label: str | None = None
    ) -> Response:
        ref = parts.ref(model, version, label)
        rooms.check()
        with ExitStack() as stack:  # all is undone if anything fails before the answer begins
            stack.enter_context(parts.gate.admitted)
            grow = stack.enter_context(rooms.disk())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sightline-video-")))
            options, frame_options = read_video(request, folder / "video", parts.settings, grow)
            stack.enter_context(rooms.room())
            resize = parts.detector.resize(ref)  # an unknown model is told before a decoder starts
            parts.detector.check_classes(options, ref)
            video = stack.enter_context(DecodedVideo(folder / "video", frame_options, resize, parts.settings))
            noted: Noted = request.environ[observe.NOTED]
            held = ExitStack()
            held.callback(observe.end, parts.ledger, noted)
            held.enter_context(stack.pop_all())
            lines = _Lines(_lines(parts, video, ref, options, noted), held)
            noted.goes_on = True
        return Response(lines, content_type=NDJSON_TYPE, headers={"X-Accel-Buffering": "no"})

    for address in addresses.action("detectVideo"):
        routes.add_url_rule(address, "detect_video", detect_video, methods=["POST"])
    return routes


class _Lines:
    """The answer's lines; closed when they end or the caller hangs up, and then all is let go."""

    def __init__(self, lines: Iterator[bytes], held: ExitStack) -> None:
        self._lines = lines
        self._held = held

    def __iter__(self) -> Iterator[bytes]:
        yield from self._lines
        self.close()

    def close(self) -> None:
        try:
            self._held.close()  # the decoder first: it ends at once, a prediction in flight ends by itself
        finally:
            self._lines.close()  # type: ignore[attr-defined]


def _lines(
    parts: Parts, video: DecodedVideo, ref: ModelRef, options: DetectOptions, noted: Noted
) -> Iterator[bytes]:
    """A line per frame and a summary; or, at the point where it failed, an error.

    The lines of frames that were answered together go together: a chunk, and what it wakes, once for all.
    """
    tally = Tally()
    work = partial(_detect, parts, ref, options, noted.request_id)
    batches = in_order(work, batched(video.frames(), BATCH), BATCHES_IN_FLIGHT)
    try:
        for records in batches:
            if parts.ending.over:
                raise OverloadedError(
                    f"this gateway is being stopped; frames from {records[0].frame} on were not answered, "
                    "send the film again"
                )
            _book(parts.metrics, noted, records)
            for record in records:
                tally.add(record)
            yield b"".join(map(_line, records))
        yield tally.to_json(video.warning) + b"\n"
    except SightlineError as fault:
        yield _error(fault, noted)
    except Exception:
        log.exception("unexpected, in a video", extra={"request_id": noted.request_id})
        yield _error(problems.unexpected(), noted)
    finally:
        batches.close()  # type: ignore[attr-defined]


def _error(fault: SightlineError, noted: Noted) -> bytes:
    noted.code = fault.code
    return orjson.dumps({"error": problems.document(fault, noted.request_id)}) + b"\n"


def _book(metrics: Metrics, noted: Noted, records: Sequence[FrameResult]) -> None:
    """Count frames that were answered together."""
    results = [record.result for record in records]
    noted.model, noted.version = results[-1].model.name, str(results[-1].model.version)
    for name, milliseconds in observe.stages_ms(results).items():
        metrics.stage(name, milliseconds)
    detections = [found for result in results for found in result.detections]
    metrics.found(results[0].model, detections, pictures=len(results))


def _line(record: FrameResult) -> bytes:
    return orjson.dumps({"time_ms": round(record.time * 1000, 3), **record.to_dict()}) + b"\n"


def _detect(
    parts: Parts, ref: ModelRef, options: DetectOptions, request_id: str, batch: list[Frame] | SightlineError
) -> list[FrameResult]:
    if isinstance(batch, SightlineError):
        raise batch
    pictures = [frame.image for frame in batch]
    with parts.gate.working:
        outcomes = parts.detector.detect_many(
            pictures, options, model=ref, timeout=parts.settings.timeout, request_id=request_id
        )
    records = []
    for frame, outcome in zip(batch, outcomes, strict=True):
        if isinstance(outcome, SightlineError):
            raise outcome
        records.append(FrameResult(frame.index, frame.time, replace(outcome, _shown=None)))
    return records
