"""What was found in one frame of a video or stream, as a line of NDJSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sightline.detections import Result


@dataclass(frozen=True, slots=True)
class FrameResult:
    """The answer for one frame of a video or stream."""

    frame: int  # counted from 0 at the first frame at or after the start that was asked for
    time: float  # seconds from the begin of the video
    result: Result
    tracks: tuple[int | None, ...] | None = None  # identity of each detection; None where none is followed

    def to_dict(self) -> dict[str, Any]:
        """As plain values: the result's own fields after `frame` and `time`."""
        plain = {"frame": self.frame, "time": self.time, **self.result.to_dict()}
        for found, track in zip(plain["detections"], self.tracks or (), strict=False):
            found["track"] = track
        return plain

    def to_json(self) -> bytes:
        """As one line of NDJSON, without its end."""
        return orjson.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> FrameResult:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a field is missing or of the wrong kind.
        """
        result = Result.from_dict(plain)
        try:
            followed = any("track" in found for found in plain["detections"])
            tracks = tuple(found.get("track") for found in plain["detections"]) if followed else None
            return cls(int(plain["frame"]), float(plain["time"]), result, tracks)
        except (KeyError, TypeError) as fault:
            raise ValueError(f"not the result of a frame: {fault!r}") from fault


class Tally:
    """Counts what was found over many frames, for the line that ends them."""

    def __init__(self) -> None:
        self.frames = 0
        self._until = 0.0
        self._labels: Counter[str] = Counter()
        self._tracks: set[int] = set()

    def add(self, record: FrameResult) -> None:
        """Count one frame."""
        self.frames += 1
        self._until = record.time
        self._labels.update(found.label for found in record.result.detections)
        self._tracks.update(track for track in record.tracks or () if track is not None)

    def to_json(self, warning: str | None = None) -> bytes:
        """`{"summary": ...}`: frames, time of the last in seconds, objects by label, and tracks if any.

        Args:
            warning: why there may have been more frames once.
        """
        summary: dict[str, Any] = {"frames": self.frames, "time": self._until, "detections": self._labels}
        if self._tracks:
            summary["tracks"] = len(self._tracks)
        if warning is not None:
            summary["warning"] = warning
        return orjson.dumps({"summary": summary})
