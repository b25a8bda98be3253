"""The folder that hard examples are collected in, laid out for labelImg and for `sightline-train`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sightline.batch.hard_examples import look_alike
from sightline.batch.tasks import Example
from sightline.detections import Result
from sightline.whole_file import whole_file

IMAGES: Final = "images"
ANNOTATIONS: Final = "annotations"
_NAME: Final = re.compile(r"(?P<priority>[01]\.\d{3})-[a-z]+-(?P<fingerprint>[0-9a-f]{16})-.*")


@dataclass(frozen=True, slots=True)
class _Held:
    priority: float
    fingerprint: int
    name: str  # without suffix
    ours: bool  # collected by this run; what was there before may have been labelled since, and stays


class ExampleFolder:
    """Keeps the examples with the clearest signs, no two that look alike, and no more than `limit`.

    `images/NAME.jpg` with `annotations/NAME.xml`, which holds what the model believes. A name begins with
    its priority and its reason, so that a listing shows the most telling first with `ls -r`.
    """

    def __init__(self, folder: Path, *, limit: int) -> None:
        self._folder, self._limit = folder, limit
        for part in (IMAGES, ANNOTATIONS):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self._held = [held for path in (folder / IMAGES).glob("*.jpg") if (held := _from_name(path.stem))]

    def __len__(self) -> int:
        return len(self._held)

    def add(self, examples: Iterable[Example]) -> None:
        """Take those that are new and telling enough."""
        for example in examples:
            if any(look_alike(example.fingerprint, held.fingerprint) for held in self._held):
                continue
            if len(self._held) < self._limit or self._make_room(example.priority):
                self._write(example)

    def _make_room(self, priority: float) -> bool:
        ours = [held for held in self._held if held.ours]
        weakest = min(ours, key=lambda held: held.priority, default=None)
        if weakest is None or weakest.priority >= priority:
            return False
        self._held.remove(weakest)
        (self._folder / IMAGES / f"{weakest.name}.jpg").unlink(missing_ok=True)
        (self._folder / ANNOTATIONS / f"{weakest.name}.xml").unlink(missing_ok=True)
        return True

    def _write(self, example: Example) -> None:
        name = f"{example.priority:.3f}-{example.reason}-{example.fingerprint:016x}-{example.title}"
        annotation = Result.from_dict(example.result).to_voc(f"{name}.jpg", folder=IMAGES)
        # The picture comes last: one that is there has its annotation.
        with whole_file(self._folder / ANNOTATIONS / f"{name}.xml") as file:
            file.write(annotation.encode())
        with whole_file(self._folder / IMAGES / f"{name}.jpg") as file:
            file.write(example.jpeg)
        self._held.append(_Held(example.priority, example.fingerprint, name, ours=True))


def _from_name(name: str) -> _Held | None:
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    return _Held(float(found["priority"]), int(found["fingerprint"], 16), name, ours=False)
