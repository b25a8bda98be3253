from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.environments import environment, run_in
from support.fake_serving import fake_serving
from support.videos import write_video

from sightline.annotated_video import named_by_track
from sightline.detections import Detection, ImageSize, ModelVersion, Result
from sightline.errors import InvalidOptionError
from sightline.frame_result import FrameResult, Tally
from sightline.tracking import Tracker

SIZE = ImageSize(320, 240)


def record(frame: int, *lefts: float) -> FrameResult:
    found = tuple(Detection.make("R2-D2", 2, 0.9, (0.2, left, 0.6, left + 0.2), SIZE) for left in lefts)
    return FrameResult(frame, frame / 25, Result("", ModelVersion("m", 1), SIZE, found))


class Reversing:
    """A library that gives its answers in another order, and follows none on the first frame."""

    def __init__(self) -> None:
        self.frames = 0

    def update(self, detections: Any) -> Any:
        self.frames += 1
        turned = detections[np.arange(len(detections))[::-1]]
        first = self.frames == 1
        turned.tracker_id = np.array([-1 if first else round(box[0]) for box in turned.xyxy], int)
        return turned


def test_identities_go_to_the_detections_they_are_of() -> None:
    tracker = Tracker(25, library=Reversing())
    assert tracker.follow(record(0, 0.1, 0.5)).tracks == (None, None)
    followed = tracker.follow(record(1, 0.1, 0.5))
    assert followed.tracks == (32, 160)
    assert [found["track"] for found in followed.to_dict()["detections"]] == [32, 160]
    assert FrameResult.from_dict(followed.to_dict()) == followed
    assert tracker.follow(record(2)).tracks == ()
    assert [found.label for found in named_by_track(followed)] == ["R2-D2 #32", "R2-D2 #160"]


def test_a_summary_counts_the_identities() -> None:
    tally = Tally()
    tracker = Tracker(25, library=Reversing())
    for frame in range(4):
        tally.add(tracker.follow(record(frame, 0.1, 0.5)))
    assert json.loads(tally.to_json())["summary"] == {
        "frames": 4,
        "time": 0.12,
        "detections": {"R2-D2": 8},
        "tracks": 2,
    }


def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "trackers":
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InvalidOptionError, match=r"sightline\[track\]"):
        Tracker(25)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_byte_track_follows_two_droids_past_a_gap() -> None:
    """One droid moves right, one left; both are missed for three frames. Real library, own environment."""
    script = """
import json
from sightline import Tracker
from sightline.detections import Detection, ImageSize, ModelVersion, Result
from sightline.frame_result import FrameResult
size, tracker, seen = ImageSize(320, 240), Tracker(25), []
for frame in range(40):
    lefts = [0.05 + frame * 0.005, 0.75 - frame * 0.005] if frame not in (20, 21, 22) else []
    tops = [0.1, 0.6]
    found = tuple(Detection.make("R2-D2", 2, 0.9, (top, left, top + 0.3, left + 0.2), size)
                  for top, left in zip(tops, lefts))
    result = Result("", ModelVersion("m", 1), size, found)
    seen.append(tracker.follow(FrameResult(frame, frame / 25, result)).tracks)
print(json.dumps(seen))
"""
    seen = json.loads(run_in(environment("track"), script, limit=300))
    settled = [tracks for tracks in seen[3:] if tracks]
    assert len({tuple(tracks) for tracks in settled}) == 1
    assert None not in settled[0] and settled[0][0] != settled[0][1]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_video_command_tracks(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", 30)
    script = "import sys; from sightline.cli import main; main(sys.argv[1:])"
    with fake_serving() as server:
        way = [
            "video",
            "--serving",
            server.target,
            "--model",
            "droids",
            "--track",
            "--draw",
            tmp_path / "out.mp4",
        ]
        told = run_in(environment("track"), script, *way, film, limit=300)
    *records, summary = [json.loads(line) for line in told.splitlines()]
    identities = {found["track"] for line in records[5:] for found in line["detections"]}
    assert len(identities) == 1 and None not in identities
    assert summary["summary"]["tracks"] == 1
    assert (tmp_path / "out.mp4").stat().st_size > 1000
