"""Parts that were measured by a run that did not get to its report."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path
from typing import Final

from bench.report import Section
from bench.servers import REPOSITORY, WORK

_FOLDER: Final = WORK / "kept"


class Kept:
    """Finished parts on disk; those of another commit or thoroughness do not count.

    Args:
        quick: of the run.
        folder: where they lie.
    """

    def __init__(self, *, quick: bool, folder: Path = _FOLDER) -> None:
        self._folder = folder
        self._made_by = (_commit(), quick)
        self._sections: dict[str, Section] = {}
        for path in sorted(folder.glob("*.pickle")):
            made_by, section = pickle.loads(path.read_bytes())  # our own, from a moment ago
            if made_by == self._made_by:
                self._sections[path.stem] = section

    def __contains__(self, name: str) -> bool:
        return name in self._sections

    def add(self, name: str, section: Section) -> None:
        """Keep a part."""
        self._folder.mkdir(parents=True, exist_ok=True)
        beside = self._folder / f"{name}.part"
        beside.write_bytes(pickle.dumps((self._made_by, section)))
        beside.replace(self._folder / f"{name}.pickle")
        self._sections[name] = section

    def take(self, name: str) -> Section:
        """A part that is kept."""
        return self._sections[name]

    def clear(self) -> None:
        """Forget all of them: they are in the report."""
        for path in self._folder.glob("*.pickle"):
            path.unlink()


def _commit() -> str:
    asked = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
