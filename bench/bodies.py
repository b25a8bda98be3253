"""The requests' bodies as files, made once in a run's working folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.pictures import SIZES, USUAL, Size, draw, facts, jpeg, multipart, turned
from bench.servers import WORK


@dataclass(frozen=True, slots=True)
class Body:
    """One body that can be sent."""

    name: str
    path: Path
    content_type: str
    size: Size
    picture: Path  # the JPEG inside


def prepare(sizes: tuple[Size, ...] = SIZES) -> dict[str, Body]:
    """By name: each size's, `form` (the usual size as a multipart form), and `exif` (the usual "
    "size, turned)."""
    folder = WORK / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    bodies = {}
    for size in sizes:
        path = folder / f"{size.name}.jpg"
        path.write_bytes(jpeg(draw(size)))
        bodies[size.name] = Body(size.name, path, "image/jpeg", size, path)
    form, content_type = multipart(bodies[USUAL.name].path.read_bytes())
    path = folder / "form"
    path.write_bytes(form)
    bodies["form"] = Body("form", path, content_type, USUAL, bodies[USUAL.name].path)
    path = folder / "exif.jpg"
    path.write_bytes(turned(draw(USUAL)))
    bodies["exif"] = Body("exif", path, "image/jpeg", USUAL, path)
    return bodies


def described(bodies: dict[str, Body]) -> list[dict[str, object]]:
    """For the report: sizes and bytes."""
    return [
        facts(body.path.read_bytes(), body.size) for body in bodies.values() if body.name == body.size.name
    ]
