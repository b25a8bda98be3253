from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import supervision as sv
from support.detectors import NumberReader
from support.videos import numbered_frames

from sightline.detections import Detection, ImageSize, ModelVersion, Result
from sightline.images import encode_jpeg
from sightline.inputs import ImageInput
from sightline.pipeline import detect_frames
from sightline.shown import LONGEST_SIDE, Shown
from sightline.video import Frame

SIZE = ImageSize(400, 200)
FOUND = (
    Detection.make("R2-D2", 2, 0.9, (0.1, 0.2, 0.6, 0.5), SIZE),
    Detection.make("BB-8", 1, 0.6, (0.3, 0.5, 0.9, 0.95), SIZE),
)


def result(*found: Detection, image: ImageInput | None = None) -> Result:
    return Result("a", ModelVersion("droids", 1), SIZE, found, {}, None if image is None else Shown(image))


def test_as_supervision_it_can_be_drawn_and_filtered() -> None:
    converted = result(*FOUND).to_supervision()
    assert isinstance(converted, sv.Detections)
    np.testing.assert_allclose(converted.xyxy, [[80, 20, 200, 120], [200, 60, 380, 180]])
    assert converted.class_id.tolist() == [2, 1]
    assert converted[converted.confidence > 0.7].data["class_name"].tolist() == ["R2-D2"]
    drawn = sv.BoxAnnotator().annotate(np.zeros((200, 400, 3), np.uint8), converted)
    assert drawn.any()
    assert len(result().to_supervision()) == 0


def test_as_pandas_it_is_a_row_per_object() -> None:
    table = result(*FOUND).to_pandas()
    assert list(table.columns) == ["label", "class_id", "score", "xmin", "ymin", "xmax", "ymax"]
    assert table[table.score > 0.7].label.tolist() == ["R2-D2"]
    both = pd.concat([table, result().to_pandas()])
    assert len(both) == 2


def png_of(html: str) -> PIL.Image.Image:
    found = re.search(r"base64,([^\"]+)", html)
    assert found is not None
    return PIL.Image.open(io.BytesIO(base64.b64decode(found[1])))


PIXELS = np.zeros((200, 400, 3), np.uint8)


@pytest.mark.parametrize("kind", ["array", "bytes", "path", "file"])
def test_a_notebook_shows_the_picture_with_its_boxes(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "dark.jpg"
    path.write_bytes(encode_jpeg(PIXELS))
    with path.open("rb") as file:
        file.read()
        image: ImageInput = {"array": PIXELS, "bytes": path.read_bytes(), "path": path, "file": file}[kind]
        shown = result(*FOUND, image=image)
        html = shown._repr_html_()
    assert html is not None and "R2-D2 0.90<br>BB-8 0.60" in html
    picture = np.asarray(png_of(html))
    assert picture.shape == (200, 400, 3)
    assert picture[118:122, 100:180].max() > 200  # the lower edge of R2-D2's box
    assert picture[150:190, 10:60].max() < 30


def test_what_a_notebook_shows_is_small_and_its_labels_are_text() -> None:
    large = result(
        Detection.make("<b>", 1, 0.5, (0, 0, 1, 1), SIZE), image=np.zeros((3000, 4000, 3), np.uint8)
    )
    html = large._repr_html_()
    assert html is not None and "&lt;b&gt;" in html and "<b>" not in html
    assert max(png_of(html).size) == LONGEST_SIDE


def test_without_its_picture_the_plain_repr_is_shown(tmp_path: Path) -> None:
    assert result(*FOUND)._repr_html_() is None
    gone = result(*FOUND, image=tmp_path / "gone.jpg")
    assert gone._repr_html_() is None and gone._repr_png_() is None
    assert "R2-D2" in repr(gone)


def test_the_picture_is_no_part_of_the_answer() -> None:
    with_picture, without = result(*FOUND, image=PIXELS), result(*FOUND)
    assert with_picture == without
    assert with_picture.to_json() == without.to_json()
    assert "shown" not in repr(with_picture)


def test_records_of_videos_hold_no_pixels() -> None:
    frames = (Frame(i, i / 25, pixels) for i, pixels in enumerate(numbered_frames(3)))
    assert [record.result._shown for record in detect_frames(NumberReader(), frames)] == [None] * 3


def test_voc_is_what_labelimg_reads() -> None:
    """The fields that labelImg's PascalVocReader asks for, and its own order of writing them."""
    root = ET.fromstring(result(*FOUND).to_voc("photo.jpg", folder="images"))
    assert [node.tag for node in root][:2] == ["folder", "filename"]
    for node in root.iter("object"):
        assert [child.tag for child in node] == ["name", "pose", "truncated", "difficult", "bndbox"]
        box = node.find("bndbox")
        assert box is not None and [int(side.text or "") > 0 for side in box] == [True] * 4
