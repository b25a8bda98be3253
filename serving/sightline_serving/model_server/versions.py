"""The states that versions go through, on one board that anyone may read or wait on."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sightline_serving.model_server.status import StatusError

_WAKE_S = 0.2  # seconds between two looks at `cancelled` while waiting


class State(enum.IntEnum):
    """Numbered as `ModelVersionStatus.State`, so that the answer needs no table."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """Where one version stands; `error` says why it ended, if it did not end well."""

    state: State
    error: StatusError | None = None
    order: int = 0  # of the news on the board; later is larger


class VersionBoard:
    """The last known state of every version that was ever seen."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._statuses: dict[str, dict[int, VersionStatus]] = {}
        self._order = 0

    @property
    def now(self) -> int:
        """A mark: what is published from here on has a larger `order`."""
        with self._changed:
            return self._order

    def publish(self, name: str, version: int, state: State, error: StatusError | None = None) -> None:
        """Say that a version has come to a state."""
        with self._changed:
            self._order += 1
            self._statuses.setdefault(name, {})[version] = VersionStatus(state, error, self._order)
            self._changed.notify_all()

    def of(self, name: str) -> Mapping[int, VersionStatus]:
        """All versions of a model, the highest first; empty for an unknown one."""
        with self._changed:
            return dict(sorted(self._statuses.get(name, {}).items(), reverse=True))

    def wait_until_settled(
        self, names: Iterable[str], *, since: int = 0, cancelled: Callable[[], bool] = lambda: False
    ) -> dict[str, Mapping[int, VersionStatus]]:
        """Wait until each model has a version available, or has versions and all of them have ended.

        Args:
            names: models to wait for.
            since: a mark; older news does not count, as for a model that was removed and added again.
            cancelled: asked now and then; ends the waiting early.

        Returns:
            The models of which no version is available, with their versions.
        """
        waiting = set(names)
        while True:
            with self._changed:
                recent = {name: self._since(name, since) for name in waiting}
                if all(_settled(statuses) for statuses in recent.values()):
                    return {name: found for name, found in recent.items() if not _available(found)}
                self._changed.wait(_WAKE_S)
            if cancelled():
                return recent

    def _since(self, name: str, mark: int) -> Mapping[int, VersionStatus]:
        return {
            version: status for version, status in self._statuses.get(name, {}).items() if status.order > mark
        }


def _available(statuses: Mapping[int, VersionStatus]) -> bool:
    return any(status.state is State.AVAILABLE for status in statuses.values())


def _settled(statuses: Mapping[int, VersionStatus]) -> bool:
    ended = bool(statuses) and all(status.state is State.END for status in statuses.values())
    return ended or _available(statuses)
