"""What was found in a picture; the only place that turns results to and from other formats."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Final, Protocol
from xml.etree import ElementTree as ET

import orjson

if TYPE_CHECKING:
    import pandas
    import supervision

COORDINATE_DIGITS: Final = 6  # normalised; a millionth of the picture
PIXEL_DIGITS: Final = 2
SCORE_DIGITS: Final = 6
TIMING_DIGITS: Final = 3  # microseconds
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


@dataclass(frozen=True, slots=True)
class Box:
    """A box in pixels of the upright picture; x runs right, y down."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


@dataclass(frozen=True, slots=True)
class Detection:
    """One found object."""

    label: str
    class_id: int  # from 1
    score: float  # 0 to 1
    box: Box
    box_normalized: tuple[float, float, float, float]  # ymin xmin ymax xmax, 0 to 1

    @classmethod
    def make(
        cls, label: str, class_id: int, score: float, normalized: Iterable[float], size: ImageSize
    ) -> Detection:
        """Round once, here, so that every way out (library, HTTP, files) gives the same numbers."""
        ymin, xmin, ymax, xmax = map(float, normalized)
        ymin, xmin = round(ymin, COORDINATE_DIGITS), round(xmin, COORDINATE_DIGITS)
        ymax, xmax = round(ymax, COORDINATE_DIGITS), round(xmax, COORDINATE_DIGITS)
        width, height = size.width, size.height
        box = Box(
            round(xmin * width, PIXEL_DIGITS),
            round(ymin * height, PIXEL_DIGITS),
            round(xmax * width, PIXEL_DIGITS),
            round(ymax * height, PIXEL_DIGITS),
        )
        return cls(label, class_id, round(float(score), SCORE_DIGITS), box, (ymin, xmin, ymax, xmax))


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Pixels of the upright picture."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """The model that answered."""

    name: str
    version: int


class Drawable(Protocol):
    """Something that boxes can be drawn on; given to a result from above, for notebooks."""

    def png(self, detections: Iterable[Detection]) -> bytes | None:
        """The picture with boxes, if it can still be had."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """The answer for one picture. Its fields are the JSON of the HTTP API, in order."""

    id: str
    model: ModelVersion
    image: ImageSize
    detections: tuple[Detection, ...]  # scores falling
    timing_ms: Mapping[str, float] = field(default_factory=dict, compare=False)
    # Not part of the answer; orjson passes over names that begin with an underscore.
    _shown: Drawable | None = field(default=None, compare=False, repr=False)

    def to_json(self) -> bytes:
        """As the HTTP API answers."""
        return orjson.dumps(self)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        plain: dict[str, Any] = json.loads(self.to_json())
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Result:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a field is missing or of the wrong kind.
        """
        try:
            return cls(
                id=plain["id"],
                model=ModelVersion(plain["model"]["name"], int(plain["model"]["version"])),
                image=ImageSize(int(plain["image"]["width"]), int(plain["image"]["height"])),
                detections=tuple(_detection_from(item) for item in plain["detections"]),
                timing_ms=dict(plain.get("timing_ms", {})),
            )
        except (KeyError, TypeError) as fault:
            raise ValueError(f"not a detection result: {fault!r}") from fault

    def to_coco(self, image_id: int | str | None = None) -> list[dict[str, Any]]:
        """As COCO results: category_id, score, bbox (x, y, width, height in pixels)."""
        return [
            {
                "image_id": self.id if image_id is None else image_id,
                "category_id": found.class_id,
                "category_name": found.label,
                "bbox": [
                    found.box.xmin,
                    found.box.ymin,
                    round(found.box.xmax - found.box.xmin, PIXEL_DIGITS),
                    round(found.box.ymax - found.box.ymin, PIXEL_DIGITS),
                ],
                "score": found.score,
            }
            for found in self.detections
        ]

    def to_pandas(self) -> pandas.DataFrame:
        """As a table, a row per object: label, class_id, score, xmin ymin xmax ymax in pixels."""
        import pandas

        columns = ("label", "class_id", "score", "xmin", "ymin", "xmax", "ymax")
        rows = [
            (item.label, item.class_id, item.score, *(getattr(item.box, side) for side in columns[3:]))
            for item in self.detections
        ]
        return pandas.DataFrame(rows, columns=list(columns))

    def to_supervision(self) -> supervision.Detections:
        """As `supervision.Detections`: xyxy in pixels, confidence, class_id, and labels as `class_name`."""
        import numpy as np
        import supervision

        corners = [(box.xmin, box.ymin, box.xmax, box.ymax) for box in (item.box for item in self.detections)]
        return supervision.Detections(
            xyxy=np.array(corners, np.float32).reshape(-1, 4),
            confidence=np.array([item.score for item in self.detections], np.float32),
            class_id=np.array([item.class_id for item in self.detections], int),
            data={"class_name": np.array([item.label for item in self.detections], str)},
        )

    def _repr_png_(self) -> bytes | None:
        """For notebooks: the picture with its boxes."""
        return None if self._shown is None else self._shown.png(self.detections)

    def _repr_html_(self) -> str | None:
        """For notebooks: the picture with its boxes, and what was found in words."""
        png = self._repr_png_()
        if png is None:
            return None  # the notebook shows the plain repr
        words = "<br>".join(f"{escape(item.label)} {item.score:.2f}" for item in self.detections)
        image = base64.b64encode(png).decode()
        return f'<img src="data:image/png;base64,{image}"><p>{words or "nothing found"}</p>'

    def to_tfod(self) -> dict[str, Any]:
        """As the Object Detection API's output dictionary of one picture, in plain lists."""
        return {
            "detection_boxes": [list(found.box_normalized) for found in self.detections],
            "detection_scores": [found.score for found in self.detections],
            "detection_classes": [found.class_id for found in self.detections],
            "num_detections": len(self.detections),
        }

    def to_voc(self, filename: str, *, folder: str = "") -> str:
        """As a Pascal VOC annotation that labelImg opens; corners are whole pixels from 1."""
        root = ET.Element("annotation")
        for tag, text in (("folder", folder), ("filename", filename)):
            ET.SubElement(root, tag).text = text
        size = ET.SubElement(root, "size")
        for tag, number in (("width", self.image.width), ("height", self.image.height), ("depth", 3)):
            ET.SubElement(size, tag).text = str(number)
        ET.SubElement(root, "segmented").text = "0"
        for found in self.detections:
            self._voc_object(root, found)
        ET.indent(root)
        return _NOT_XML.sub("?", ET.tostring(root, encoding="unicode")) + "\n"

    def _voc_object(self, root: ET.Element, found: Detection) -> None:
        node = ET.SubElement(root, "object")
        fields = (("name", found.label), ("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0"))
        for tag, text in fields:
            ET.SubElement(node, tag).text = text
        box = ET.SubElement(node, "bndbox")
        corners = (
            ("xmin", found.box.xmin, self.image.width),
            ("ymin", found.box.ymin, self.image.height),
            ("xmax", found.box.xmax, self.image.width),
            ("ymax", found.box.ymax, self.image.height),
        )
        for tag, value, limit in corners:
            ET.SubElement(box, tag).text = str(min(max(round(value), 1), limit))


def ms_since(at: float) -> float:
    """Milliseconds since a moment of `time.perf_counter`, as results tell them."""
    return round((time.perf_counter() - at) * 1000, TIMING_DIGITS)


def _detection_from(plain: Mapping[str, Any]) -> Detection:
    ymin, xmin, ymax, xmax = plain["box_normalized"]
    return Detection(
        label=plain["label"],
        class_id=int(plain["class_id"]),
        score=float(plain["score"]),
        box=Box(**plain["box"]),
        box_normalized=(ymin, xmin, ymax, xmax),
    )
