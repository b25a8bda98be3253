"""An identity for each object over the frames of a video; needs the extra `sightline[track]`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Protocol

import numpy as np

from sightline.errors import InvalidOptionError
from sightline.frame_result import FrameResult

# ByteTrack's own default is 0.7, for detectors that are surer of themselves; boxes that come this far
# have passed the threshold of the card or of the caller.
ACTIVATION_SCORE: Final = 0.5
REMEMBERED: Final = 1.0  # seconds that an object may be out of sight


class TrackerLibrary(Protocol):
    """The part of a tracker of Roboflow's `trackers` that is used."""

    def update(self, detections: Any) -> Any:
        """Take one frame's `supervision.Detections`; give them with `tracker_id`, in any order."""
        ...


class Tracker:
    """Follows the objects of one video, frame by frame, with ByteTrack (Zhang et al., 2022).

    Args:
        fps: frames per second that it will be given.
        library: a tracker of your own instead of ByteTrack.

    Raises:
        InvalidOptionError: the library is not installed.
    """

    def __init__(self, fps: float, *, library: TrackerLibrary | None = None) -> None:
        self._library = library or _byte_track(fps)

    def follow(self, record: FrameResult) -> FrameResult:
        """The record with the identity of each detection; None for one that was seen only once so far."""
        found = record.result.to_supervision()
        found.data["place"] = np.arange(len(found))
        followed = self._library.update(found)
        tracks: list[int | None] = [None] * len(record.result.detections)
        if len(followed) and followed.tracker_id is not None:
            for place, identity in zip(followed.data["place"], followed.tracker_id, strict=True):
                tracks[int(place)] = int(identity) if identity >= 0 else None
        return replace(record, tracks=tuple(tracks))


def _byte_track(fps: float) -> TrackerLibrary:
    try:
        from trackers import ByteTrackTracker
    except ImportError:
        raise InvalidOptionError("tracking needs a library: pip install 'sightline[track]'") from None
    # The library counts frames at 30 per second, and scales by what it is told.
    tracker: TrackerLibrary = ByteTrackTracker(
        lost_track_buffer=round(30 * REMEMBERED), frame_rate=fps, track_activation_threshold=ACTIVATION_SCORE
    )
    return tracker
