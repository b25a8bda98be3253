"""Pascal VOC XML, as labelImg, PASCAL VOC and the Oxford-IIIT pets have it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Final
from xml.etree import ElementTree as ET

from sightline.errors import InputError
from sightline_training.annotations.frames import is_resized
from sightline_training.annotations.reading import (
    Labelled,
    Reading,
    box_around,
    lost_picture,
    pictures_in,
)
from sightline_training.examples import Example, LabelledBox, LeftOut
from sightline_training.layout import ANNOTATIONS, IMAGES

_LAYOUTS: Final = (
    (IMAGES, ANNOTATIONS),
    (IMAGES, f"{ANNOTATIONS}/xmls"),
    ("JPEGImages", "Annotations"),
    (".", "."),
)
_NO_XML: Final = "it has no annotation"
_UNREADABLE: Final = (ET.ParseError, ValueError, LookupError)  # the last two of encodings that are not known
_CORNERS: Final = ("xmin", "xmax", "ymin", "ymax")


def to_xml(example: Example) -> str:
    """An example as the XML that labelImg opens; corners are whole pixels of the upright picture."""
    root = ET.Element("annotation")
    ET.SubElement(root, "folder").text = example.path.parent.name
    ET.SubElement(root, "filename").text = example.path.name
    size = ET.SubElement(root, "size")
    for tag, pixels in (("width", example.width), ("height", example.height), ("depth", 3)):
        ET.SubElement(size, tag).text = str(pixels)
    ET.SubElement(root, "segmented").text = "0"
    for box in example.boxes:
        node = ET.SubElement(root, "object")
        ET.SubElement(node, "name").text = box.label
        ET.SubElement(node, "pose").text = "Unspecified"
        ET.SubElement(node, "truncated").text = "0"
        ET.SubElement(node, "difficult").text = str(int(box.difficult))
        corners = ET.SubElement(node, "bndbox")
        for tag in ("xmin", "ymin", "xmax", "ymax"):
            side = example.width if tag[0] == "x" else example.height
            ET.SubElement(corners, tag).text = str(round(getattr(box, tag) * side))
    ET.indent(root, space="\t")
    return ET.tostring(root, encoding="unicode") + "\n"


def read_objects(path: Path, width: int, height: int) -> tuple[LabelledBox, ...]:
    """The objects of an annotation file.

    Args:
        path: the XML file.
        width, height: pixels of the picture, by which the corners are divided. The file's own `size` is
            taken instead only where it tells that the picture was resized: tools have left zeros there,
            and other pictures' sizes.

    Raises:
        InputError: the file is not VOC XML.
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - a user's own labels; expat bounds entity expansion
        if root.tag != "annotation":
            raise InputError(f"{path} is XML but no VOC annotation: its root is <{root.tag}>")
        drawn = [_object(node) for node in root.iter("object")]
        furthest = [(box.xmax, box.ymax) for box in drawn]
        size = _size(root)
        if size is not None and is_resized((width, height), size, furthest):
            width, height = size
        return tuple(_shares(box, width, height) for box in drawn)
    except _UNREADABLE as fault:
        raise InputError(f"{path} is no VOC annotation: {fault}") from None


def find(folder: Path) -> tuple[Path, Path] | None:
    """Where a folder's pictures and where its XML files are; None where it has none in a known layout.

    Known are: images/ and annotations/ (or annotations/xmls/, as the pets have it); JPEGImages/ and
    Annotations/ (PASCAL VOC); both kinds in one folder (labelImg's default).
    """
    for pictures, files in _LAYOUTS:
        if (folder / pictures).is_dir() and _annotations(folder / files):
            return folder / pictures, folder / files
    return None


def count(annotations: Path) -> int:
    """How many VOC annotations a folder holds."""
    return len(_annotations(annotations))


def declared_size(path: Path) -> tuple[int, int] | None:
    """Width and height that an annotation file gives; None where it gives none that can be meant."""
    try:
        return _size(ET.parse(path).getroot())  # noqa: S314 - as above
    except _UNREADABLE:
        return None


def _size(root: ET.Element) -> tuple[int, int] | None:
    try:
        width, height = (int(root.findtext(f"size/{side}") or 0) for side in ("width", "height"))
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None


def _object(node: ET.Element) -> LabelledBox:
    """An object, its box in pixels."""
    name = (node.findtext("name") or "").strip()
    if not name:
        raise ValueError("an object has no name")
    pixels = []
    for tag in _CORNERS:
        text = node.findtext(f"bndbox/{tag}")
        if text is None:
            raise ValueError(f"the box of an object {name!r} has no {tag}")
        try:
            pixels.append(float(text))
        except ValueError:
            raise ValueError(f"the {tag} of an object {name!r} is {text!r}, no number") from None
    # A box that was drawn from its end to its beginning means the same.
    ymin, xmin, ymax, xmax = box_around(pixels[:2], pixels[2:])
    difficult = (node.findtext("difficult") or "0").strip() == "1"
    return LabelledBox(name, ymin, xmin, ymax, xmax, difficult)


def _shares(box: LabelledBox, width: int, height: int) -> LabelledBox:
    """A box in pixels as shares of its picture."""
    return replace(
        box, ymin=box.ymin / height, xmin=box.xmin / width, ymax=box.ymax / height, xmax=box.xmax / width
    )


def read_folder(pictures: Path, annotations: Path) -> Reading:
    """Read pictures and their XML, from the folders that `find` tells."""
    by_stem: dict[str, list[Path]] = {}
    for picture in pictures_in(pictures):
        by_stem.setdefault(picture.stem, []).append(picture)
    found, left_out = [], []
    taken: set[str] = set()  # stems of pictures whose annotation was met
    for annotation in _annotations(annotations):
        like = by_stem.pop(annotation.stem, [])
        taken |= {picture.stem for picture in like}
        named = [picture for picture in like if len(like) == 1 or picture.name == _filename(annotation)]
        if len(named) == 1:
            reader = partial(read_objects, annotation)
            found.append(Labelled(annotation.stem, named[0], reader, declared_size(annotation)))
        elif like:
            names = " and ".join(picture.name for picture in like)
            left_out.append(LeftOut(annotation.name, f"it may be of {names}; its <filename> names neither"))
        elif annotation.stem in taken:
            left_out.append(LeftOut(annotation.name, "its picture has another annotation"))
        else:
            left_out.append(LeftOut(annotation.name, lost_picture(pictures, annotation)))
        left_out += [LeftOut(other.name, _NO_XML) for other in like if len(named) == 1 and other not in named]
    left_out += [LeftOut(path.name, _NO_XML) for like in by_stem.values() for path in like]
    found.sort(key=lambda item: item.picture.name)
    return Reading(tuple(found), left_out=tuple(left_out))


def _annotations(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix.lower() == ".xml")


def _filename(annotation: Path) -> str:
    """The picture that an annotation file names."""
    try:
        told = ET.parse(annotation).getroot().findtext("filename") or ""  # noqa: S314 - as above
    except _UNREADABLE:
        return ""
    return PureWindowsPath(told.strip()).name  # takes both kinds of slash
