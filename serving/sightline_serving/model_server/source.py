"""Watches the folders of the models and says which of their versions should serve."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tensorflow_serving.config import file_system_storage_path_source_pb2 as policy_pb2

log = logging.getLogger(__name__)

VersionPolicy: TypeAlias = policy_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy
Aspire = Callable[[str, Mapping[int, Path]], None]

MAX_VERSION = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Watched:
    """One model to watch."""

    name: str
    base_path: Path
    policy: VersionPolicy


class FolderSource:
    """Looks at all watched folders every `interval` seconds; once per configuration if it is zero.

    A negative interval means never, as with the official binary, which reserves that for tests.
    """

    def __init__(self, aspire: Aspire, interval: float) -> None:
        self._aspire = aspire
        self._interval = interval
        self._watched: dict[str, Watched] = {}
        self._lock = threading.Lock()  # held during a look, so that a removed model cannot be aspired again
        self._stopped = threading.Event()
        self._said: dict[str, str] = {}
        self._thread: threading.Thread | None = None

    def watch(self, models: Mapping[str, Watched]) -> None:
        """Watch these models, and these only; those no longer named are unloaded."""
        with self._lock:
            removed = self._watched.keys() - models.keys()
            self._watched = dict(models)
        for name in removed:
            self._aspire(name, {})
        if self._interval >= 0:
            self.look()
        if self._interval > 0 and self._thread is None:
            self._thread = threading.Thread(target=self._poll, name="folders", daemon=True)
            self._thread.start()

    def look(self) -> None:
        """Look at every folder now."""
        with self._lock:
            for model in self._watched.values():
                versions = self._versions_of(model)
                if versions is not None:
                    self._aspire(model.name, versions)

    def close(self) -> None:
        """Stop looking."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _poll(self) -> None:
        while not self._stopped.wait(self._interval):
            self.look()

    def _versions_of(self, model: Watched) -> dict[int, Path] | None:
        """The versions to serve; None if the folder cannot be read, which changes nothing."""
        try:
            found = find_versions(model.base_path)
        except OSError as fault:
            self._say(
                model.name,
                "FileSystemStoragePathSource encountered a filesystem access error: Could not find base path "
                f"{model.base_path} for servable {model.name} with error {fault.strerror}: {fault.filename}",
            )
            return None
        if not found:
            self._say(
                model.name,
                f"No versions of servable {model.name} found under base path {model.base_path}. Did you "
                "forget to name your leaf directory as a number (eg. '/1/')?",
            )
            return {}
        chosen, missing = choose_versions(found, model.policy)
        self._say(
            model.name,
            "".join(
                f"Version {version} of servable {model.name}, which was requested to be served as a "
                "'specific' version in the servable's version policy, was not found in the file system. "
                for version in missing
            ),
        )
        return chosen

    def _say(self, name: str, text: str) -> None:
        """Warn once of each state of affairs, not once a second."""
        if self._said.get(name, "") != text:
            self._said[name] = text
            if text:
                log.warning("%s", text)


def find_versions(base_path: Path) -> dict[int, Path]:
    """Every child of a folder whose name is a number: `7` and `0000007` are both version 7.

    Raises:
        OSError: the folder cannot be read.
    """
    children = sorted(base_path.iterdir())
    numbered = ((child, child.name) for child in children)
    return {
        int(name): child
        for child, name in numbered
        if name.isascii() and name.isdigit() and int(name) <= MAX_VERSION
    }


def choose_versions(found: Mapping[int, Path], policy: VersionPolicy) -> tuple[dict[int, Path], list[int]]:
    """What a policy makes of the versions found: those to serve, and those it names that are not there."""
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return dict(found), []
    if kind == "specific":
        wanted = list(dict.fromkeys(policy.specific.versions))
        chosen = {version: found[version] for version in wanted if version in found}
        return chosen, [version for version in wanted if version not in found]
    count = max(1, policy.latest.num_versions)
    return {version: found[version] for version in sorted(found, reverse=True)[:count]}, []
