"""How results of pictures leave the command: on standard output, or as a file per picture."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import click
import orjson

from sightline.detections import Result
from sightline.errors import SightlineError
from sightline.whole_file import whole_file


def as_text(source: str, result: Result) -> str:
    """A line per object: source, label, score, corners in pixels."""
    lines = [
        f"{source}\t{found.label}\t{found.score:.3f}\t"
        f"{found.box.xmin:.0f} {found.box.ymin:.0f} {found.box.xmax:.0f} {found.box.ymax:.0f}\n"
        for found in result.detections
    ]
    return "".join(lines) or f"{source}\tnothing found\n"


def as_json(source: str, result: Result) -> str:
    """One line: the fields of the HTTP API after the source."""
    return orjson.dumps({"source": source, **result.to_dict()}).decode() + "\n"


def as_voc(source: str, result: Result) -> str:
    """A Pascal VOC annotation."""
    path = Path(source)
    return result.to_voc(path.name, folder=path.parent.name)


def as_coco(source: str, result: Result) -> str:
    """COCO results of this picture, a list in one line; `image_id` is the source."""
    return orjson.dumps(result.to_coco(source)).decode() + "\n"


def _sayable(text: str) -> str:
    """Text as every format can hold it: what is not UTF-8 in a file's name becomes a question mark."""
    return text.encode(errors="replace").decode()


# format -> (how, suffix of a file)
_FORMATS: Final[dict[str, tuple[Callable[[str, Result], str], str]]] = {
    "text": (as_text, ".txt"),
    "json": (as_json, ".json"),
    "coco": (as_coco, ".json"),
    "voc": (as_voc, ".xml"),
}
FORMATS: Final = tuple(_FORMATS)


class ResultWriter:
    """Writes results in one format; left, it writes what can only be written once all is known.

    Of a run that the service or the user ends, that is what was found until then.

    Args:
        format_: one of FORMATS.
        folder: gets a file per picture; None writes to standard output.
        kept: as of `FolderNames`.
    """

    def __init__(self, format_: str, folder: Path | None, kept: Iterable[Path] = ()) -> None:
        self._format, self._suffix = _FORMATS[format_]
        self._errors_too = format_ == "json"
        self._coco: list[dict[str, Any]] | None = [] if format_ == "coco" and folder is None else None
        self._names = None if folder is None else FolderNames(folder, kept)

    def write(self, source: str, result: Result) -> None:
        """Write the result of one picture."""
        told = _sayable(source)
        if self._names is not None:
            with whole_file(self._names.take(source, self._suffix)) as file:
                file.write(self._format(told, result).encode())
        elif self._coco is not None:
            self._coco += result.to_coco(told)
        else:
            sys.stdout.write(self._format(told, result))
            sys.stdout.flush()

    def fail(self, source: str, fault: SightlineError) -> None:
        """Name a picture that failed; a reader of JSON lines finds it among them, too."""
        told, detail = _sayable(source), _sayable(fault.detail)
        click.echo(f"{told}: {detail}", err=True)
        if self._errors_too and self._names is None:
            line = {"source": told, "error": {**fault.problem(), "detail": detail}}
            sys.stdout.write(orjson.dumps(line).decode() + "\n")

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = kind is None or issubclass(kind, (SightlineError, KeyboardInterrupt))
        if ended and self._coco is not None:
            sys.stdout.write(orjson.dumps(self._coco).decode() + "\n")
            sys.stdout.flush()


class FolderNames:
    """File names in a folder, one for each source; equal stems get a number.

    Args:
        folder: made where it is missing.
        kept: what is read, and so must not be replaced.
    """

    def __init__(self, folder: Path, kept: Iterable[Path] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._kept = {path.resolve(): path for path in kept}
        self._taken: set[str] = set()

    def take(self, source: str, suffix: str) -> Path:
        """The path for what comes of a source.

        Raises:
            click.UsageError: it would replace what is read.
        """
        stem = Path(source).stem if source != "-" else "stdin"
        name, number = stem + suffix, 1
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}{suffix}"
        self._taken.add(name)
        path = self._folder / name
        if read := self._kept.get(path.resolve()):
            whose = "its own result" if str(read) == source else f"the result of {source}"
            raise click.UsageError(f"{read} would be replaced by {whose}; name another folder")
        return path
