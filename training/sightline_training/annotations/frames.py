"""In which pixels an annotation's boxes were drawn, and how they come onto the upright picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sightline.image_header import ImageHeader
from sightline_training.examples import LabelledBox

Size = tuple[int, int]  # width, height

# EXIF orientations, of those that swap the sides, that mirror the picture once it is transposed
_FLIPPED_SIDEWAYS: Final = (6, 7)
_FLIPPED_UPSIDE_DOWN: Final = (7, 8)


def drawn_before_turn(header: ImageHeader, declared: Size | None) -> bool:
    """Whether boxes were drawn on the pixels as they are stored, by a tool that knows no EXIF.

    Told by the size that the annotation gives, so only of turns that swap the sides.
    """
    stored = (header.width, header.height)
    return declared == stored and stored != header.upright_size


def turned(box: LabelledBox, orientation: int) -> LabelledBox:
    """A box of the stored picture on the upright one; EXIF orientation 5 to 8."""
    rows, columns = (box.xmin, box.xmax), (box.ymin, box.ymax)
    if orientation in _FLIPPED_SIDEWAYS:
        columns = (1 - columns[1], 1 - columns[0])
    if orientation in _FLIPPED_UPSIDE_DOWN:
        rows = (1 - rows[1], 1 - rows[0])
    return replace(box, ymin=rows[0], xmin=columns[0], ymax=rows[1], xmax=columns[1])


def is_resized(picture: Size, declared: Size, furthest: Iterable[tuple[float, float]]) -> bool:
    """Whether a picture was made larger or smaller after its boxes were drawn.

    Args:
        picture: its size now.
        declared: its size as the annotation gives it.
        furthest: right and lower edges of the boxes, pixels; outside of `declared` they contradict it.
    """
    (width, height), (wide, high) = picture, declared
    alike = abs(width * high - wide * height) <= max(*picture, *declared)  # the sides were rounded
    return alike and all(right <= wide and bottom <= high for right, bottom in furthest)
