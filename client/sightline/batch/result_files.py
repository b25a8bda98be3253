"""The files that a job leaves: NDJSON and Parquet for each input; parts of videos until they are joined."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import orjson

from sightline.batch.sources import Source
from sightline.batch.tasks import Outcome
from sightline.errors import InvalidOptionError
from sightline.whole_file import PART_SUFFIX, whole_file

NDJSON: Final = "ndjson"  # a line per picture or frame, as the HTTP API answers
PARQUET: Final = "parquet"  # a row per object
FORMATS: Final = (NDJSON, PARQUET)

RESULTS: Final = "results"
_PARTS: Final = ".parts"
_ROW_GROUP: Final = 4096  # lines that become rows at once; bounds the memory


class ResultFiles:
    """Writes results under `folder`. Every file is whole, or not there.

    Raises:
        InvalidOptionError: a format needs a library that is not installed.
    """

    def __init__(self, folder: Path, formats: Sequence[str] = FORMATS) -> None:
        self._results, self._parts, self._formats = folder / RESULTS, folder / _PARTS, formats
        if PARQUET in formats:
            _parquet()
        self._results.mkdir(parents=True, exist_ok=True)
        for leftover in self._results.glob(f".*{PART_SUFFIX}"):  # of a run that was killed
            leftover.unlink()

    def save(self, source: Source, lines: Iterable[bytes]) -> dict[str, Any]:
        """Write an input's files; what the manifest says of them."""
        path = self._results / f"{source.name}.{NDJSON}"
        records = objects = 0
        with whole_file(path) as file:
            for line in lines:
                file.write(line)
                records += 1
                objects += len(orjson.loads(line)["detections"])
        files = [path.name]
        if PARQUET in self._formats:
            files.append(self._save_parquet(path).name)
        if NDJSON not in self._formats:
            path.unlink()
            files.remove(path.name)
        return {"files": files, "records": records, "detections": objects}

    def save_part(self, outcome: Outcome) -> bool:
        """Keep a part of a video; whether it was the last one that was missing."""
        folder = self._folder_of(outcome.source)
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / str(outcome.part)) as file:
            head = {"passed": outcome.passed, "warning": outcome.warning}
            file.write(orjson.dumps(head) + b"\n" + outcome.lines)
        return len(self.parts_of(outcome.source)) == outcome.parts

    def parts_of(self, source: Source) -> set[int]:
        """The parts of a video that are there."""
        folder = self._folder_of(source)
        return (
            {int(path.name) for path in folder.iterdir() if path.name.isdigit()} if folder.is_dir() else set()
        )

    def warning_of(self, source: Source) -> str | None:
        """What is to be said of a video whose parts are all there."""
        last = self._folder_of(source) / str(max(self.parts_of(source)))
        with last.open("rb") as file:
            warning: str | None = orjson.loads(file.readline())["warning"]
        return warning

    def joined(self, source: Source) -> Iterator[bytes]:
        """The lines of all parts as of one reading: frames count on from part to part."""
        passed = 0
        for part in sorted(self.parts_of(source)):
            with (self._folder_of(source) / str(part)).open("rb") as file:
                head = orjson.loads(file.readline())
                for line in file:
                    record = orjson.loads(line)
                    record["frame"] += passed
                    yield orjson.dumps(record) + b"\n"
            passed += head["passed"]

    def drop_parts(self, source: Source) -> None:
        """Forget the parts of a video, once they are joined or it has failed."""
        shutil.rmtree(self._folder_of(source), ignore_errors=True)

    def finish(self) -> None:
        """Remove what is only needed while the job is under way."""
        shutil.rmtree(self._parts, ignore_errors=True)

    def _folder_of(self, source: Source) -> Path:
        return self._parts / source.name

    def _save_parquet(self, lines: Path) -> Path:
        arrow, parquet = _parquet()
        schema = _schema(arrow)
        path = lines.with_suffix(f".{PARQUET}")
        with (
            whole_file(path) as file,
            parquet.ParquetWriter(file, schema) as writer,
            lines.open("rb") as records,
        ):
            while group := list(islice(records, _ROW_GROUP)):
                rows = chain.from_iterable(_rows(orjson.loads(line)) for line in group)
                writer.write_table(arrow.Table.from_pylist(list(rows), schema=schema))
        return path


def _rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row per object; a picture with none gives none."""
    shared = {
        **{name: record.get(name) for name in ("source", "frame", "time")},
        "width": record["image"]["width"],
        "height": record["image"]["height"],
        "model": record["model"]["name"],
        "version": record["model"]["version"],
    }
    for found in record["detections"]:
        yield {**shared, **{name: found[name] for name in ("label", "class_id", "score")}, **found["box"]}


def _schema(arrow: Any) -> Any:
    text, whole, real = arrow.string(), arrow.int64(), arrow.float64()
    columns = {
        "source": text,
        "frame": whole,  # null for a picture
        "time": real,  # seconds; null for a picture
        "width": whole,
        "height": whole,
        "model": text,
        "version": whole,
        "label": text,
        "class_id": whole,
        "score": real,
        "xmin": real,  # pixels, as are the next three
        "ymin": real,
        "xmax": real,
        "ymax": real,
    }
    return arrow.schema(list(columns.items()))


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InvalidOptionError("Parquet needs a library: pip install 'sightline[batch]'") from None
    return pyarrow, pyarrow.parquet
