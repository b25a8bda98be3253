"""The version folders of a model."""

from __future__ import annotations

from pathlib import Path


def versions_of(base: Path) -> list[int]:
    """The versions in a model's folder, rising; as TensorFlow Serving reads them, `0007` is 7."""
    if not base.is_dir():
        return []
    return sorted(int(path.name) for path in base.iterdir() if path.name.isascii() and path.name.isdigit())


def next_version(base: Path) -> int:
    """One more than the highest version there, or 1."""
    return max(versions_of(base), default=0) + 1
