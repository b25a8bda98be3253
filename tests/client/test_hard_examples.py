from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.detectors import NumberReader
from support.videos import numbered_frames

from sightline.batch.engines import ThreadEngine
from sightline.batch.example_folder import ExampleFolder
from sightline.batch.hard_examples import (
    BAND,
    CollectOptions,
    Thresholds,
    Unsure,
    agree,
    fingerprint,
    flickers,
    look_alike,
    overlap,
)
from sightline.batch.job import Job
from sightline.batch.sources import Source, find_sources
from sightline.batch.tasks import Example
from sightline.batch.work import Work
from sightline.detections import Detection, ImageSize, ModelVersion, Result
from sightline.images import encode_jpeg, encode_png
from sightline.options import DetectOptions
from sightline.video import Frame

SIZE = ImageSize(320, 240)
SOURCE = Source("film.mp4", "video")


def found(score: float, left: float = 0.1, label: str = "R2-D2") -> Detection:
    return Detection.make(label, 2, score, (0.2, left, 0.6, left + 0.2), SIZE)


def result(*detections: Detection) -> Result:
    return Result("", ModelVersion("droids", 1), SIZE, detections)


def scene(seed: int) -> NDArray[np.uint8]:
    """Pictures that do not look alike."""
    small = np.random.default_rng(seed).integers(0, 255, (8, 9, 3), np.uint8)
    return np.asarray(cv2.resize(small, (320, 240), interpolation=cv2.INTER_NEAREST), np.uint8)


def frames(*results: Result) -> list[tuple[Frame, Result]]:
    return [(Frame(i, i / 25, scene(i)), item) for i, item in enumerate(results)]


def watched(*results: Result) -> list[Example]:
    unsure = Unsure(Thresholds(DetectOptions(threshold=0.5)), SOURCE)
    for frame, item in frames(*results):
        unsure.see_frame(frame, item)
    return list(unsure.examples())


def test_a_score_near_the_threshold_is_a_sign_and_a_clear_one_is_not() -> None:
    examples = watched(
        result(found(0.98)), result(found(0.52)), result(found(0.02)), result(found(0.4)), result()
    )
    assert [(e.reason, e.title[-11:]) for e in examples if e.reason == "score"] == [
        ("score", "000000040ms"),
        ("score", "000000120ms"),
    ]
    assert examples[-1].priority == pytest.approx(1 - 0.1 / BAND)


def test_an_object_that_goes_for_one_frame_is_a_sign() -> None:
    steady = result(found(0.95))
    examples = watched(steady, steady, result(), steady, steady)
    assert [(e.reason, e.title[-11:]) for e in examples] == [("flicker", "000000080ms")]
    examples = watched(result(), result(found(0.95, 0.6)), result())
    assert [e.reason for e in examples] == ["flicker"]
    assert watched(result(), result(), steady, steady, steady) == []


def test_what_counts_as_the_same_object() -> None:
    assert overlap((0, 0, 1, 1), (0, 0, 1, 0.5)) == pytest.approx(0.5)
    assert overlap((0, 0, 0.4, 0.4), (0.5, 0.5, 1, 1)) == 0
    one, moved, other = found(0.9), found(0.9, 0.12), found(0.9, label="BB-8")
    assert agree([one], [moved]) and not agree([one], [other]) and not agree([one], []) and agree([], [])
    assert not flickers([one], [moved], [one]) and flickers([one], [other], [one])


def test_two_models_that_disagree_are_the_clearest_sign() -> None:
    unsure = Unsure(Thresholds(DetectOptions()), SOURCE, lambda _: result(found(0.9, label="BB-8")))
    unsure.see_picture(encode_jpeg(scene(1)), result(found(0.9)))
    unsure.see_picture(encode_jpeg(scene(2)), result(found(0.9, label="BB-8")))
    assert [(e.reason, e.priority) for e in unsure.examples()] == [("disagreement", 1.0)]


def test_a_picture_that_no_jpeg_holds_is_not_collected() -> None:
    unsure = Unsure(Thresholds(DetectOptions(threshold=0.5)), SOURCE)
    unsure.see_picture(encode_png(np.zeros((2, 70_000, 3), np.uint8)), result(found(0.51)))
    assert unsure.examples() == ()


def test_pictures_that_look_alike_have_fingerprints_that_do() -> None:
    one = scene(1)
    darker, shifted = (one * 0.8).astype(np.uint8), np.roll(one, 2, axis=1)
    assert look_alike(fingerprint(one), fingerprint(darker))
    assert look_alike(fingerprint(one), fingerprint(shifted))
    assert not look_alike(fingerprint(one), fingerprint(scene(2)))


def example(priority: float, seed: int) -> Example:
    pixels = scene(seed)
    return Example(
        priority,
        "score",
        fingerprint(pixels),
        f"film-{seed}",
        encode_jpeg(pixels),
        result(found(0.5)).to_dict(),
    )


def names(folder: Path) -> list[str]:
    return sorted(path.stem.split("-", 3)[3] for path in (folder / "images").iterdir())


def test_the_folder_keeps_the_most_telling_and_no_two_alike(tmp_path: Path) -> None:
    folder = ExampleFolder(tmp_path, limit=3)
    folder.add([example(0.3, 1), example(0.5, 2), example(0.9, 1), example(0.4, 3)])
    assert names(tmp_path) == ["film-1", "film-2", "film-3"]
    folder.add([example(0.2, 4), example(0.8, 5)])
    assert names(tmp_path) == ["film-2", "film-3", "film-5"]
    assert [p.stem for p in sorted((tmp_path / "images").iterdir())] == [
        p.stem for p in sorted((tmp_path / "annotations").iterdir())
    ]


def test_what_an_earlier_run_collected_is_never_removed(tmp_path: Path) -> None:
    ExampleFolder(tmp_path, limit=2).add([example(0.1, 1), example(0.2, 2)])
    later = ExampleFolder(tmp_path, limit=2)
    later.add([example(0.9, 3), example(0.9, 1)])
    assert len(later) == 2 and names(tmp_path) == ["film-1", "film-2"]


def test_a_collected_example_opens_in_labelimg_and_in_training(tmp_path: Path) -> None:
    ExampleFolder(tmp_path, limit=9).add([example(0.5, 1)])
    (annotation,) = (tmp_path / "annotations").iterdir()
    root = ET.parse(annotation).getroot()
    picture = tmp_path / str(root.findtext("folder")) / str(root.findtext("filename"))
    assert cv2.imread(str(picture)).shape == (240, 320, 3)
    assert root.findtext("object/name") == "R2-D2"
    assert [root.findtext(f"object/bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")] == [
        "32",
        "48",
        "96",
        "144",
    ]


def test_thresholds_are_those_of_each_class_unless_one_is_asked_for() -> None:
    """What is kept is what the model's side would have given, the number of boxes included."""
    by_card = Thresholds(DetectOptions(max_detections=1), {1: 0.8, 2: 0.3})
    ball, can = Detection.make("BB-8", 1, 0.7, (0, 0, 1, 1), SIZE), found(0.35)
    assert by_card.kept(result(ball, can, can)).detections == (can,)
    assert by_card.weaker().threshold == pytest.approx(0.3 - BAND)
    assert by_card.weaker().max_detections > 100
    fixed = Thresholds(DetectOptions(threshold=0.7), {1: 0.8})
    assert fixed.kept(result(ball, can)).detections == (ball,)
    assert fixed.weaker().threshold == pytest.approx(0.7 - BAND)


def test_a_job_collects_while_its_results_stay_what_they_are(tmp_path: Path) -> None:
    """The fake's scores rise from 0.50 by 0.01 with each number: all of the first twenty are unsure."""
    for number, frame in enumerate(numbered_frames(40)):
        (tmp_path / f"{number:02d}.jpg").write_bytes(
            encode_jpeg(np.maximum(frame, scene(number) // 2 * (frame == 60)))
        )
    options = DetectOptions(threshold=0.6)
    plain = Work(NumberReader, options, None, 4, 5)
    collecting = Work(NumberReader, options, None, 4, 5, collect=CollectOptions())
    examples = ExampleFolder(tmp_path / "hard", limit=8)
    for out, work, folder in (("plain", plain, None), ("collecting", collecting, examples)):
        with Job(tmp_path / out, work, examples=folder) as job:
            list(job.run(find_sources([f"{tmp_path}/*.jpg"]), ThreadEngine(2)))
    read = {
        out: {path.name: path.read_bytes() for path in (tmp_path / out / "results").glob("*.ndjson")}
        for out in ("plain", "collecting")
    }
    assert read["plain"] == read["collecting"] and len(read["plain"]) == 40
    assert len(examples) == 8
    assert {path.name.split("-")[1] for path in (tmp_path / "hard" / "images").iterdir()} == {"score"}
