"""Folders, globs, lists and object-store addresses -> the pictures and videos that they hold."""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from sightline.errors import InputError, InvalidOptionError, NoImageError
from sightline.inputs import PICTURE_SUFFIXES

VIDEO_SUFFIXES: Final = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv"}
)
LIST_MARK: Final = "@"  # @FILE is a list of inputs, one a line; @- is one on standard input

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_LENGTH: Final = 80  # characters of a result's name that tell a person what it is of
_DIGEST_LENGTH: Final = 10  # hexadecimal digits that keep names apart


@dataclass(frozen=True, slots=True)
class Source:
    """One picture or video."""

    address: str  # a path or an address that fsspec reads
    kind: Literal["picture", "video"]

    @property
    def name(self) -> str:
        """A file name of its own, the same in every run."""
        digest = hashlib.sha256(self.address.encode()).hexdigest()[:_DIGEST_LENGTH]
        inmost, _, _ = self.address.partition("::")  # of a file in an archive
        plain = _UNSAFE.sub("_", PurePosixPath(inmost).name)[-_NAME_LENGTH:]
        return f"{plain}-{digest}"

    def read(self) -> bytes:
        """The whole file.

        Raises:
            NoImageError: it cannot be read.
        """
        fs, path = _filesystem(self.address)
        try:
            content: bytes = fs.cat_file(path)
        except FileNotFoundError:
            raise NoImageError(f"there is no file {self.address}") from None
        except Exception as fault:  # each store has errors of its own
            raise NoImageError(f"{self.address} cannot be read: {fault}") from fault
        return content

    @contextmanager
    def local(self) -> Iterator[Path]:
        """The file on this machine: itself, or a copy for as long as the block lasts.

        Raises:
            NoImageError: it cannot be read.
        """
        fs, path = _filesystem(self.address)
        if _is_local(fs):
            with self._named(path):
                yield Path(path)
            return
        with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
            copy = Path(folder) / PurePosixPath(self.address).name
            try:
                fs.get_file(path, str(copy))
            except Exception as fault:  # each store has errors of its own
                raise NoImageError(f"{self.address} cannot be read: {fault}") from fault
            with self._named(str(copy)):
                yield copy

    @contextmanager
    def _named(self, path: str) -> Iterator[None]:
        """Let an error name the input as it was given: a copy lies elsewhere each time."""
        try:
            yield
        except InputError as fault:
            raise type(fault)(fault.detail.replace(path, self.address)) from fault

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine."""
        return _is_local(_filesystem(self.address)[0])


def find_sources(inputs: Iterable[str]) -> list[Source]:
    """Every picture and video that the inputs name, each once, in the order of inputs and of names.

    A folder is searched with the folders in it, for files with the usual suffixes; a file that is named
    itself is taken whatever its suffix, as a video if that is one of VIDEO_SUFFIXES.

    Raises:
        InvalidOptionError: a list cannot be read, an address has a scheme that is not installed, a name is
            not UTF-8, or a folder or glob holds nothing.
    """
    found: dict[str, Source] = {}
    for name in _named(inputs):
        for source in _expand(name):
            found.setdefault(_writable(source.address), source)
    return list(found.values())


def _writable(address: str) -> str:
    """An address as it is; the manifest and the results are UTF-8 and could not name another."""
    try:
        address.encode()
    except UnicodeEncodeError:
        raise InvalidOptionError(f"{address!a} has a name that is not UTF-8; rename it") from None
    return address


def _named(inputs: Iterable[str]) -> Iterator[str]:
    for name in inputs:
        if not name:  # which would be this folder
            raise InvalidOptionError("the name of an input is empty")
        if not name.startswith(LIST_MARK):
            yield name
            continue
        path = name.removeprefix(LIST_MARK)
        try:
            text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            raise InvalidOptionError(f"the list {path} cannot be read: {fault}") from None
        yield from (line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _expand(name: str) -> Iterator[Source]:
    fs, path = _filesystem(name)
    if any(sign in name for sign in "*?[") and not fs.exists(path):
        inside = sorted(item for item in fs.glob(path) if not fs.isdir(item))
    elif _may_be_folder(fs, path) and fs.isdir(path):
        inside = sorted(fs.find(path))
    else:
        yield Source(path if _is_local(fs) else name, _kind(path) or "picture")
        return
    kinds = [(item, _kind(item)) for item in inside]
    sound = [Source(_address(fs, item, name), kind) for item, kind in kinds if kind is not None]
    if not sound:
        raise InvalidOptionError(f"{name} holds no pictures and no videos")
    yield from sound


def _may_be_folder(fs: Any, path: str) -> bool:
    """A store is not asked about each picture of a list, which takes milliseconds."""
    return _is_local(fs) or _kind(path) is None


def _kind(name: str) -> Literal["picture", "video"] | None:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "picture" if suffix in PICTURE_SUFFIXES else None


def _filesystem(address: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise InvalidOptionError("batch jobs need more libraries: pip install 'sightline[batch]'") from None
    try:
        fs, path = url_to_fs(address)
    except (ImportError, ValueError) as fault:  # a store whose library is not installed, or that is unknown
        raise InvalidOptionError(f"{address} cannot be read here: {fault}") from None
    return fs, path


def _is_local(fs: Any) -> bool:
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def _address(fs: Any, path: str, name: str) -> str:
    """The address of what was found under a name, in the same archive where that is in one."""
    if _is_local(fs):
        return path
    _, chain, outer = name.partition("::")
    return f"{fs.unstrip_protocol(path)}{chain}{outer}"
