"""The requests' bodies as files, made once in a run's working folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import Load
from bench.pictures import INPUT, SIZES, USUAL, Size, draw, facts, jpeg, multipart, png, turned
from bench.servers import WORK, Server


@dataclass(frozen=True, slots=True)
class Body:
    """One body that can be sent."""

    name: str
    path: Path
    content_type: str
    size: Size
    picture: Path  # the file inside


def prepare(sizes: tuple[Size, ...] = SIZES) -> dict[str, Body]:
    """By name: each size's; `form`, the usual size as a multipart form; `exif`, the usual size, turned;
    `lossless`, a form with a PNG of the model's input size, which every decoder reads alike."""
    folder = WORK / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    bodies = {}
    for size in sizes:
        path = folder / f"{size.name}.jpg"
        path.write_bytes(jpeg(draw(size)))
        bodies[size.name] = Body(size.name, path, "image/jpeg", size, path)
    bodies["form"] = _form("form", bodies[USUAL.name].path, "image/jpeg", USUAL)
    path = folder / "lossless.png"
    path.write_bytes(png(draw(INPUT)))
    bodies["lossless"] = _form("lossless", path, "image/png", INPUT)
    path = folder / "exif.jpg"
    path.write_bytes(turned(draw(USUAL)))
    bodies["exif"] = Body("exif", path, "image/jpeg", USUAL, path)
    return bodies


def _form(name: str, picture: Path, kind: str, size: Size) -> Body:
    form, content_type = multipart(picture.read_bytes(), kind)
    path = picture.with_name(f"{name}.form")
    path.write_bytes(form)
    return Body(name, path, content_type, size, picture)


def load_of(server: Server, path: str, body: Body, **how: Any) -> Load:
    """A load of one body for a server; `how` is the rest of a Load: its clients, requests, rate …"""
    return Load(server.host, server.port, path, [str(body.path)], body.content_type, **how)


def described(bodies: dict[str, Body]) -> list[dict[str, object]]:
    """For the report: sizes and bytes."""
    return [
        facts(body.path.read_bytes(), body.size) for body in bodies.values() if body.name == body.size.name
    ]
