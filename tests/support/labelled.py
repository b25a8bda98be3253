"""Small labelled data sets in every format, drawn for a test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from sightline.images import encode_jpeg
from sightline_training.annotations import read_dataset, voc
from sightline_training.examples import Dataset, Example, LabelledBox
from sightline_training.labels import LabelMap, to_pbtxt
from sightline_training.synthetic import LABELS, draw_picture


def drawn_examples(folder: Path, count: int = 6, seed: int = 5) -> Dataset:
    """Drawn droids as JPEG files in `folder`, with their boxes."""
    folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for index in range(count):
        pixels, droids = draw_picture(seed, index)
        height, width = pixels.shape[:2]
        path = folder / f"p{index}.jpg"
        path.write_bytes(encode_jpeg(pixels))
        boxes = tuple(
            LabelledBox(d.label, d.ymin / height, d.xmin / width, d.ymax / height, d.xmax / width)
            for d in droids
        )
        examples.append(Example(path.stem, path, width, height, boxes))
    return Dataset(LABELS, tuple(examples))


def write_voc(folder: Path, count: int = 6) -> Dataset:
    dataset = drawn_examples(folder / "images", count)
    (folder / "annotations").mkdir()
    for example in dataset.examples:
        (folder / "annotations" / f"{example.name}.xml").write_text(voc.to_xml(example))
    (folder / "label_map.pbtxt").write_text(to_pbtxt(dataset.labels))
    return dataset


def write_coco(folder: Path, count: int = 6) -> Dataset:
    dataset = drawn_examples(folder / "images", count)
    ids = {"BB-8": 3, "R2-D2": 90}  # with gaps, as COCO's own
    annotations = [
        {
            "id": 100 * number + place,
            "image_id": number,
            "category_id": ids[box.label],
            "bbox": [
                box.xmin * example.width,
                box.ymin * example.height,
                (box.xmax - box.xmin) * example.width,
                (box.ymax - box.ymin) * example.height,
            ],
        }
        for number, example in enumerate(dataset.examples)
        for place, box in enumerate(example.boxes)
    ]
    images = [
        {"id": number, "file_name": example.path.name, "width": example.width, "height": example.height}
        for number, example in enumerate(dataset.examples)
    ]
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    tables = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(tables))
    return dataset


def write_yolo(folder: Path, count: int = 6) -> Dataset:
    dataset = drawn_examples(folder / "images" / "train", count)
    (folder / "labels" / "train").mkdir(parents=True)
    for example in dataset.examples:
        lines = [
            f"{LABELS.names.index(box.label)} {(box.xmin + box.xmax) / 2} {(box.ymin + box.ymax) / 2}"
            f" {box.xmax - box.xmin} {box.ymax - box.ymin}"
            for box in example.boxes
        ]
        (folder / "labels" / "train" / f"{example.name}.txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text("names:\n  0: BB-8\n  1: R2-D2\n")
    return dataset


def assert_same_boxes(found: Dataset, expected: Dataset, *, pixels: float) -> None:
    """Same pictures, sizes, labels, and boxes that differ by at most `pixels`."""
    assert [example.name for example in found.examples] == [example.name for example in expected.examples]
    for one, other in zip(found.examples, expected.examples, strict=True):
        assert (one.width, one.height) == (other.width, other.height)
        assert [box.label for box in one.boxes] == [box.label for box in other.boxes]
        tolerance = pixels / min(one.width, one.height)
        np.testing.assert_allclose(one.corners(), other.corners(), atol=tolerance)


def label_map(*names: str) -> LabelMap:
    return LabelMap(names)


def edit_text(path: Path, *edits: tuple[str, str]) -> None:
    """Edit an annotation file; each of the texts must be there."""
    text = path.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)


def reasons_of(folder: Path) -> dict[str, str]:
    """Name -> why it is left out."""
    return {item.name: item.reason for item in read_dataset(folder).left_out}


def with_boxes(dataset: Dataset) -> list[str]:
    """The names of the pictures that have a box."""
    return [example.name for example in dataset.examples if example.boxes]


def write_named_coco(folder: Path, *pictures: str) -> list[str]:
    """Copies of one picture under these names, the first with a box; gives the names they are read by."""
    drawn = drawn_examples(folder.parent / "drawn", 1).examples[0]
    for picture in pictures:
        (folder / picture).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn.path, folder / picture)
    images = [{"id": number, "file_name": picture} for number, picture in enumerate(pictures)]
    annotations = [{"id": 1, "image_id": 0, "category_id": 1, "bbox": [5, 5, 50, 50]}]
    tables = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "BB-8"}]}
    (folder / "instances.json").write_text(json.dumps(tables))
    return [example.name for example in read_dataset(folder).examples]
