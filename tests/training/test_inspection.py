"""What `inspect` tells of a data set, and splits that keep near-duplicates together."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import chain
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from support.exported import exported_models
from support.labelled import drawn_examples, write_voc

from sightline.errors import InputError
from sightline.geometry import Stretch
from sightline_training.annotations import read_dataset
from sightline_training.asked import Asked, asked_version
from sightline_training.duplicates import grouped, near_groups
from sightline_training.examples import Dataset
from sightline_training.inspection import inspect
from sightline_training.inspection_page import write_page
from sightline_training.missing_labels import told_by_duplicates
from sightline_training.splits import cut, fold_of, groups_cut


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """Drawn droids with one of each fault that `inspect` should tell."""
    folder = tmp_path / "data"
    write_voc(folder, 8)
    images, annotations = folder / "images", folder / "annotations"
    for path in sorted(annotations.glob("*.xml"))[:6]:
        path.write_text(path.read_text().replace("R2-D2", "r2d2"))  # another spelling
    first = cv2.imread(str(images / "p3.jpg"))  # a near-duplicate, smaller, without a label
    cv2.imwrite(str(images / "twin.jpg"), cv2.resize(first, None, fx=0.6, fy=0.6))
    kept = (annotations / "p3.xml").read_text()
    (annotations / "twin.xml").write_text(kept[: kept.index("<object>")] + "</annotation>")
    cv2.imwrite(str(images / "p1.png"), cv2.imread(str(images / "p1.jpg")))
    shutil.move(images / "p1.png", images / "p1.jpg")  # a PNG under another name
    outside = (
        "<object><name>BB-8</name><bndbox><xmin>9000</xmin><ymin>1</ymin><xmax>9100</xmax><ymax>9</ymax>"
    )
    broken = (annotations / "p2.xml").read_text()
    (annotations / "p2.xml").write_text(
        broken.replace("</annotation>", f"{outside}</bndbox></object></annotation>")
    )
    return folder


def test_each_fault_is_told(faulty: Path) -> None:
    found = inspect(read_dataset(faulty))
    assert found.aliases == {"r2d2": "R2-D2"}
    assert ("p3", "twin") in found.groups
    reasons = {(item.name, item.reason.split(",")[0]) for item in found.problems}
    assert ("p1", "it is named .jpg and is a PNG") in reasons
    lacking = [item for item in found.missing if item.name == "twin"]
    assert [item.reason.split(" has ")[0] for item in lacking] == ["its near-duplicate p3"]
    assert any(name == "twin" and "its annotation says" in reason for name, reason in reasons)
    assert [(item.name, "outside the picture" in item.reason) for item in found.left_out] == [("p2", True)]
    assert sum(found.boxes_of.values()) == sum(len(e.boxes) for e in found.dataset.examples)


def test_a_scene_that_only_hashes_like_another_is_not_told_to_miss_a_label(faulty: Path) -> None:
    dataset = read_dataset(faulty)
    assert told_by_duplicates(dataset, [["p3", "twin"]])
    assert told_by_duplicates(dataset, [["p4", "twin"]]) == []


def test_what_a_detector_is_sure_of_and_nobody_labelled_is_told_and_drawn(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "data", 3)
    example = dataset.examples[1]
    stripped = Dataset(dataset.labels, (dataset.examples[0], replace(example, boxes=())))
    corners, count = example.corners(), len(example.boxes)
    outputs = {
        "detection_boxes": np.zeros((2, count, 4), np.float32),
        "detection_scores": np.zeros((2, count), np.float32),
        "detection_classes": np.ones((2, count), np.float32),
        "num_detections": np.array([0, count], np.float32),
    }
    outputs["detection_boxes"][1] = corners
    outputs["detection_scores"][1] = [0.9, *[0.3] * (count - 1)]  # only one is sure
    asked = Asked(dataset.labels, Stretch(96, 96), lambda pixels: outputs)
    found = inspect(stripped, findings=asked.findings(stripped))
    (lacking,) = found.missing
    assert lacking.name == example.name
    assert lacking.reason == "the detector is sure of a BB-8 without a label (0.90)"
    page = write_page(tmp_path / "page", found)
    assert "Pictures that probably miss a label" in page.read_text()
    drawn = cv2.imread(str(page.parent / "pictures" / f"0001-{example.name}-1-0.9000.jpg"))
    assert drawn is not None
    ymin, xmin, _, xmax = corners[0]
    line = drawn[round(ymin * drawn.shape[0]), round((xmin + xmax) / 2 * drawn.shape[1])].astype(int)
    bare = cv2.imread(str(example.path))
    before = bare[round(ymin * bare.shape[0]), round((xmin + xmax) / 2 * bare.shape[1])].astype(int)
    assert np.abs(line - before).max() > 30  # the upper edge of the box


def test_an_exported_version_can_be_asked(tmp_path: Path) -> None:
    models = exported_models(tmp_path)
    dataset = write_voc(tmp_path / "data", 3)
    by_name, by_version = (asked_version(models / part) for part in ("droids", "droids/1"))
    assert by_name.labels == dataset.labels
    one, other = by_name.outputs(dataset), by_version.outputs(dataset)
    assert one["num_detections"].min() > 0
    np.testing.assert_allclose(one["detection_scores"], other["detection_scores"], atol=1e-5)
    with pytest.raises(InputError, match=r"saved_model\.pb is missing"):
        asked_version(tmp_path / "data")
    (tmp_path / "cut" / "1").mkdir(parents=True)
    (tmp_path / "cut" / "1" / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(InputError, match="no version that sightline-train export has written"):
        asked_version(tmp_path / "cut")


def test_a_set_torn_from_another_is_told(faulty: Path, tmp_path: Path) -> None:
    dataset = read_dataset(faulty)
    learnt, asked = dataset.subset(["p3", "p4"]), dataset.subset(["twin", "p5"])
    assert inspect(learnt, against=asked).torn == (("p3", "twin"),)


def test_the_page_holds_pictures_and_plots(faulty: Path, tmp_path: Path) -> None:
    dataset = replace(read_dataset(faulty), notes=("read as <one> set",))
    page = write_page(tmp_path / "page", inspect(dataset))
    text = page.read_text()
    assert "<p>read as &lt;one&gt; set</p>" in text
    assert "<p>&#x27;r2d2&#x27; is taken for &#x27;R2-D2&#x27;</p>" in text
    assert "Near-duplicates 1" in text
    assert "lies outside the picture" in text
    (twin,) = (page.parent / "pictures").glob("*-twin.jpg")
    assert cv2.imread(str(twin)) is not None
    assert cv2.imread(str(page.parent / "sizes.png")) is not None
    with pytest.raises(InputError, match="there already"):
        write_page(tmp_path / "page", inspect(read_dataset(faulty)))


def test_splits_never_part_near_duplicates(faulty: Path) -> None:
    dataset = read_dataset(faulty)
    groups = near_groups(dataset.examples)
    parts = cut(dataset, 3)
    assert sorted(chain.from_iterable(parts)) == list(range(len(dataset.examples)))
    assert all(groups_cut(groups, set(part)) == [] for part in parts)
    twins = {index for index, example in enumerate(dataset.examples) if example.name in {"p3", "twin"}}
    assert groups_cut(groups, {min(twins)}) != []  # the check itself can fail
    split = fold_of(dataset, 0, folds=3)
    assert len(split.training.examples) + len(split.held_out.examples) == len(dataset.examples)
    with pytest.raises(InputError, match=r"cannot be cut into 20 folds: .*ask for at most \d+, or"):
        cut(dataset, 20)
    alone = replace(dataset, examples=dataset.examples[:1])
    with pytest.raises(InputError, match=r"1 picture of 1 scene .*there is none to hold out, or learn from"):
        cut(alone, 5)


def test_groups_are_what_chains_of_near_hashes_join() -> None:
    """Against the definition, over more pictures than are compared at once."""
    rng = np.random.default_rng(3)
    count, bits = 600, 64
    hashes, mirrored = (rng.random((count, bits)) > 0.5 for _ in range(2))
    for index in rng.permutation(count)[:200]:  # some near another, some near another's mirror image
        other = int(rng.integers(count))
        hashes[index] = (mirrored if index % 2 else hashes)[other] ^ (rng.random(bits) < 0.15)
    apart = np.minimum(
        (hashes[:, None] != hashes).mean(2),
        np.tril((hashes[:, None] != mirrored).mean(2), -1) + np.triu(np.ones((count, count))),
    )
    joined = (apart <= 0.25) | (apart <= 0.25).T
    for _ in range(10):  # so that a path of up to 1,024 steps is one step
        joined = joined.astype(np.float32) @ joined.astype(np.float32) > 0
    expected = sorted({tuple(map(int, np.flatnonzero(row))) for row in joined})
    found = grouped(hashes, mirrored)
    assert sorted(map(tuple, found)) == expected
    assert 100 < len(found) < count - 100


def test_names_that_no_file_can_have_are_drawn_each_on_its_own(tmp_path: Path) -> None:
    """Records may call pictures by paths or addresses; two of them differ in what no file name holds."""
    dataset = drawn_examples(tmp_path / "pictures", 3)
    names = ("a/b", "a-b", "https://example.org/" + "ü" * 300)
    examples = tuple(
        replace(example, name=name, declared=(1, 1))
        for example, name in zip(dataset.examples, names, strict=True)
    )
    page = write_page(tmp_path / "page", inspect(replace(dataset, examples=examples)))
    drawn = sorted((page.parent / "pictures").iterdir())
    assert len({path.read_bytes() for path in drawn}) == 3
    assert all(f"pictures/{quote(path.name)}" in page.read_text() for path in drawn)
