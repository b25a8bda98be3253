"""Loads and unloads versions so that a model that serves goes on serving.

The availability preserving policy of the official server: a new version is loaded, with its warm-up, before
an old one leaves; the old one leaves once no request holds it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sightline_serving.model_server.memory import give_back
from sightline_serving.model_server.servable import Servable
from sightline_serving.model_server.status import StatusError, internal, not_found
from sightline_serving.model_server.versions import State, VersionBoard

log = logging.getLogger(__name__)

Loader = Callable[[str, int, Path], Servable]


@dataclass(frozen=True, slots=True)
class LoadPolicy:
    """How loads are run."""

    retries: int = 5  # after the first failure
    retry_interval: float = 60.0  # seconds; none if negative
    load_threads: int = 1
    unload_threads: int = 1


@dataclass(slots=True)
class _Version:
    """One version under management."""

    name: str
    number: int
    path: Path
    state: State = State.START
    servable: Servable | None = None
    unwanted: threading.Event = field(default_factory=threading.Event)

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.number}}}"


class Manager:
    """Brings the versions that are loaded in line with those that are aspired."""

    def __init__(self, loader: Loader, board: VersionBoard, policy: LoadPolicy) -> None:
        self._loader = loader
        self._board = board
        self._policy = policy
        self._lock = threading.Lock()
        self._aspired: dict[str, dict[int, Path]] = {}
        self._versions: dict[str, dict[int, _Version]] = {}
        # Replaced as a whole, never changed, so that requests read it without a lock. Highest first.
        self._serving: dict[str, tuple[Servable, ...]] = {}
        self._loads = ThreadPoolExecutor(max(1, policy.load_threads), "load")
        self._unloads = ThreadPoolExecutor(max(1, policy.unload_threads), "unload")
        self._closed = False

    # --- requests ---------------------------------------------------------------------------------

    def acquire(self, name: str, version: int | None) -> Servable:
        """The version asked for, or the highest that serves, held for the caller, who must release it.

        Raises:
            StatusError: NOT_FOUND, in the official words.
        """
        while True:
            for servable in self._serving.get(name, ()):
                if version is None or servable.version == version:
                    if servable.acquire():
                        return servable
                    break  # retired between the look and the grip: look again
            else:
                asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
                raise not_found(f"Servable not found for request: {asked}")

    # --- aspirations ------------------------------------------------------------------------------

    def aspire(self, name: str, versions: Mapping[int, Path]) -> None:
        """Say which versions of a model should serve, and where they lie."""
        with self._lock:
            if self._closed:
                return
            self._aspired[name] = dict(versions)
            self._advance(name)

    def close(self) -> None:
        """Unload everything, once the requests in progress have ended. Loads in progress are given up."""
        with self._lock:
            for name in self._aspired:
                self._aspired[name] = {}
                self._advance(name)
            self._closed = True
        self._loads.shutdown(cancel_futures=True)
        self._unloads.shutdown()

    def _advance(self, name: str) -> None:
        """Start whatever the policy allows now. Called, with the lock held, whenever something changed."""
        aspired = self._aspired.get(name, {})
        versions = self._versions.setdefault(name, {})
        for version in list(versions.values()):
            if version.number not in aspired:
                version.unwanted.set()
                if version.state is State.END:  # it had failed; if wanted again it gets a new chance
                    del versions[version.number]
        for number in sorted(aspired, reverse=True):
            if number not in versions:
                self._start(name, number, aspired[number])
        ready = any(
            version.state is State.AVAILABLE for version in versions.values() if version.number in aspired
        )
        if aspired and not ready:
            return  # the old ones stay until a new one serves
        for version in versions.values():
            if version.number not in aspired and version.state is State.AVAILABLE:
                self._publish(version, State.UNLOADING)
                self._stop_serving(version)
                self._unloads.submit(self._unload, version)

    def _start(self, name: str, number: int, path: Path) -> None:
        version = _Version(name, number, path)
        self._versions[name][number] = version
        self._publish(version, State.START)
        self._loads.submit(self._load, version)

    # --- the work, in threads of the pools --------------------------------------------------------

    def _load(self, version: _Version) -> None:
        if version.unwanted.is_set():
            self._end(version, None)
            return
        self._publish(version, State.LOADING)
        outcome = self._try_to_load(version)
        if isinstance(outcome, StatusError):
            log.error("Loading %s failed for good: %s", version, outcome)
            self._end(version, outcome)
            return
        with self._lock:
            version.servable = outcome
            versions = [*self._serving.get(version.name, ()), outcome]
            versions.sort(key=lambda servable: servable.version, reverse=True)
            self._serving = {**self._serving, version.name: tuple(versions)}
            self._publish(version, State.AVAILABLE)
            log.info("Successfully loaded %s", version)
            self._advance(version.name)

    def _try_to_load(self, version: _Version) -> Servable | StatusError:
        """The loaded version, or why the last attempt failed."""
        attempts = 1 + max(0, self._policy.retries)
        for attempt in range(1, attempts + 1):
            log.info("Loading %s from %s", version, version.path)
            try:
                return self._loader(version.name, version.number, version.path)
            except StatusError as fault:
                outcome = fault
            except Exception as fault:  # a broken model may raise anything; the server must not end by it
                log.exception("Loading %s raised", version)
                outcome = internal(f"{type(fault).__name__}: {fault}")
            if attempt < attempts:
                pause = max(0.0, self._policy.retry_interval)
                log.warning(
                    "Loading %s failed: %s; attempt %d of %d, the next in %g s",
                    version, outcome, attempt, attempts, pause,
                )  # fmt: skip
                if version.unwanted.wait(pause):
                    break
        return outcome

    def _unload(self, version: _Version) -> None:
        try:
            if version.servable is not None:
                version.servable.retire()
                version.servable = None
        except Exception:  # what is left of it must not keep the model's next version from serving
            log.exception("Unloading %s raised", version)
        give_back()
        log.info("Done unloading %s", version)
        self._end(version, None)

    def _end(self, version: _Version, error: StatusError | None) -> None:
        with self._lock:
            if error is None:
                self._versions[version.name].pop(version.number, None)
            self._publish(version, State.END, error)
            if not self._closed:
                self._advance(version.name)

    def _stop_serving(self, version: _Version) -> None:
        left = tuple(servable for servable in self._serving[version.name] if servable is not version.servable)
        self._serving = {**self._serving, version.name: left}

    def _publish(self, version: _Version, state: State, error: StatusError | None = None) -> None:
        version.state = state
        self._board.publish(version.name, version.number, state, error)
