"""Which models a service has, and in what state their versions are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """The state of one version of a model."""

    version: int
    state: str  # START LOADING AVAILABLE UNLOADING END
    error: str  # empty where all is well

    @property
    def available(self) -> bool:
        """Whether the version answers requests."""
        return self.state == "AVAILABLE"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model by name."""

    name: str
    default: bool  # whether it is asked where a request names none
    versions: tuple[VersionStatus, ...]  # newest first
