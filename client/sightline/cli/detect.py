"""`sightline detect`: pictures in, boxes out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

import click

from sightline.cli.connection import Connection, connection_options, option_options
from sightline.cli.exits import Exit
from sightline.cli.progress import Progress
from sightline.cli.result_formats import FORMATS, FolderNames, ResultWriter
from sightline.detections import Result
from sightline.errors import InputError, NoImageError
from sightline.inputs import PICTURE_SUFFIXES, read_file
from sightline.options import DetectOptions
from sightline.whole_file import whole_file

STDIN: Final = "-"
_BATCH: Final = 8  # pictures sent together

_FOLDER: Final = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument(
    "pictures", nargs=-1, required=True, type=click.Path(allow_dash=True, path_type=str), metavar="PICTURE..."
)
@connection_options
@option_options
@click.option("--json", "format_", flag_value="json", help="Short for --format json.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="text: a line per object; json: a line per picture; coco: one list; voc: XML.",
)
@click.option("--out", type=_FOLDER, metavar="DIR", help="Write a file per picture there, not to the output.")
@click.option("--draw", type=_FOLDER, metavar="DIR", help="Also write each picture there with its boxes.")
def detect_command(
    *,
    pictures: tuple[str, ...],
    connection: Connection,
    options: DetectOptions,
    format_: str,
    out: Path | None,
    draw: Path | None,
) -> None:
    """Find the objects in pictures: files, folders of them, or - for standard input."""
    named = list(_named(pictures))
    kept = [found for _, found in named if isinstance(found, Path)]
    drawn = None if draw is None else FolderNames(draw, kept)
    failed = 0
    with (
        closing(connection.open()) as detector,
        ResultWriter(format_, out, kept) as writer,
        Progress("detect", len(named), "pictures", among_lines=out is None) as progress,
    ):
        sources = ((name, found if isinstance(found, InputError) else _read(found)) for name, found in named)
        while batch := list(islice(sources, _BATCH)):
            contents = [content for _, content in batch]
            sound = [content for content in contents if isinstance(content, bytes)]
            answers = iter(detector.detect_many(sound, options) if sound else [])
            for source, content in batch:
                outcome = content if isinstance(content, InputError) else next(answers)
                if isinstance(outcome, InputError):
                    failed += 1
                    writer.fail(source, outcome)
                    continue
                writer.write(source, outcome)
                if drawn is not None and isinstance(content, bytes):
                    try:
                        _draw(content, outcome, drawn.take(source, ".jpg"))
                    except InputError as fault:  # found, but no JPEG holds it
                        failed += 1
                        click.echo(f"{source}: not drawn: {fault.detail}", err=True)
            progress.advance(len(batch))
    raise SystemExit(Exit.SOME_FAILED if failed else Exit.OK)


def _named(pictures: Iterable[str]) -> Iterator[tuple[str, Path | InputError]]:
    """Each picture's name and path; folders are opened up, in the order of names."""
    for name in pictures:
        if not name:  # which Python takes for this folder
            raise click.UsageError("the name of a picture is empty")
        path = Path(name)
        if name == STDIN or not path.is_dir():
            yield name, path
            continue
        inside = sorted(item for item in path.iterdir() if item.suffix.lower() in PICTURE_SUFFIXES)
        yield from ((str(item), item) for item in inside)
        if not inside:
            wanted = ", ".join(sorted(PICTURE_SUFFIXES))
            yield name, NoImageError(f"the folder holds no pictures; looked for {wanted}")


def _read(path: Path) -> bytes | InputError:
    if str(path) == STDIN:
        return sys.stdin.buffer.read()
    try:
        return read_file(path)
    except InputError as fault:
        return fault


def _draw(content: bytes, result: Result, path: Path) -> None:
    """Write the picture with its boxes.

    Raises:
        InputError: it has too many pixels, or too many a side for a JPEG.
    """
    from sightline.draw import draw
    from sightline.images import decode, encode_jpeg

    with whole_file(path) as file:
        file.write(encode_jpeg(draw(decode(content).pixels, result.detections)))
