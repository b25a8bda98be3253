"""`sightline doctor` as far as it needs no model: layout, records, numbers, likeness, usage."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.fake_serving import fake_serving

from sightline.cli import main
from sightline.cli.exits import Exit
from sightline.contract import OUTPUT_BOXES, OUTPUT_CLASSES, OUTPUT_COUNT, OUTPUT_SCORES
from sightline.doctor import CheckResult, Outcome, examine
from sightline.doctor.agreement import agreement
from sightline.doctor.answer_values import value_faults
from sightline.doctor.box_arrays import BoxArrays
from sightline.doctor.exif_pictures import sideways, upright_and_stored
from sightline.doctor.folders import VersionFolder, versions_in
from sightline.doctor.record_file import masked_crc, records
from sightline.errors import DeadlineError, InvalidOptionError, UnavailableError
from sightline.image_header import read_header
from sightline.images import decode


def layout(path: Path) -> tuple[list[CheckResult], list[VersionFolder]]:
    found = list(versions_in(path))
    return (
        [item for item in found if isinstance(item, CheckResult)],
        [item for item in found if isinstance(item, VersionFolder)],
    )


def export(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")
    return folder


def test_a_version_a_model_and_a_folder_of_models_are_told_apart(tmp_path: Path) -> None:
    export(tmp_path / "droids" / "2")
    export(tmp_path / "droids" / "10")
    export(tmp_path / "other" / "0000007")
    for path, expected in (
        (tmp_path / "droids" / "2", [("droids", 2)]),
        (tmp_path / "droids", [("droids", 10)]),
        (tmp_path, [("droids", 10), ("other", 7)]),
    ):
        results, versions = layout(path)
        assert [(one.name, one.version) for one in versions] == expected
        assert {one.outcome for one in results} == {Outcome.PASS}


def without_version(tmp_path: Path) -> Path:
    return export(tmp_path / "droids")


def nothing_numbered(tmp_path: Path) -> Path:
    export(tmp_path / "droids" / "v1")
    return tmp_path / "droids"


def file_for_a_version(tmp_path: Path) -> Path:
    (tmp_path / "droids").mkdir()
    (tmp_path / "droids" / "3").write_bytes(b"")
    return tmp_path / "droids"


def file_itself(tmp_path: Path) -> Path:
    return file_for_a_version(tmp_path) / "3"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (without_version, "saved_model.pb lies directly under droids"),
        (file_for_a_version, "3 in droids is a file"),
        (file_itself, "is a file"),
    ],
)
def test_a_wrong_layout_is_named(make: Callable[[Path], Path], words: str, tmp_path: Path) -> None:
    results, _ = layout(make(tmp_path))
    (failed,) = [one for one in results if one.outcome is Outcome.FAIL]
    assert failed.check == "layout" and words in failed.found
    assert "/1/saved_model.pb" in failed.wanted or "VERSION a whole number" in failed.wanted


def test_a_model_whose_folder_has_no_number_is_no_version(tmp_path: Path) -> None:
    results, versions = layout(nothing_numbered(tmp_path) / "v1")
    assert results[0].outcome is Outcome.FAIL and "v1, which is no version number" in results[0].found
    assert [one.version for one in versions] == [1]  # examined all the same
    (tmp_path / "empty").mkdir()
    results, versions = layout(tmp_path / "empty")
    assert "empty holds nothing, and no version folder" in results[0].found and not versions


def framed(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def test_the_checksum_is_the_one_of_the_standard() -> None:
    crc = 0xE3069283  # CRC-32C of "123456789" (RFC 3720, B.4 names the polynomial)
    assert masked_crc(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_records_come_back_and_damage_is_placed() -> None:
    data = framed(b"first") + framed(b"") + framed(b"third")
    assert list(records(data)) == [b"first", b"", b"third"]
    for at, words in ((0, "record 1's length"), (13, "checksum of record 1,"), (len(data) - 1, "record 3,")):
        damaged = bytearray(data)
        damaged[at] ^= 1
        with pytest.raises(ValueError, match=words):
            list(records(bytes(damaged)))
    with pytest.raises(ValueError, match="record 3 wants 5 bytes"):
        list(records(data[:-2]))
    with pytest.raises(ValueError, match="cut short in its header"):
        list(records(data + b"\0"))


BOXES = np.array([[0.1, 0.1, 0.5, 0.5], [0.4, 0.2, 0.9, 0.8]], np.float32)


def raw(boxes: np.ndarray = BOXES, scores: tuple[float, ...] = (0.9, 0.6)) -> BoxArrays:
    return BoxArrays(boxes, np.array(scores, np.float32), np.array([1, 2]))


def test_agreement_is_of_boxes_scores_and_classes_and_goes_both_ways() -> None:
    nothing = BoxArrays(BOXES[:0], np.zeros(0, np.float32), np.zeros(0, np.int64))
    assert agreement(raw(), raw()) == pytest.approx(1)
    assert agreement(raw(), nothing) == agreement(nothing, raw()) == 0
    assert agreement(nothing, nothing) == 1
    assert agreement(raw(), raw(BOXES[:, [1, 0, 3, 2]])) < 0.97
    assert agreement(raw(), raw(scores=(0.9, 0.3))) < 0.97
    extra = BoxArrays(BOXES, raw().scores, np.array([1, 1]))
    assert agreement(raw(), extra) == agreement(extra, raw()) < 0.97


def answer(**changed: list[object]) -> dict[str, np.ndarray]:
    sound = {
        OUTPUT_BOXES: [[[0.1, 0.1, 0.5, 0.5], [0, 0, 1, 1], [0, 0, 0, 0]]],
        OUTPUT_SCORES: [[0.9, 0.6, 0]],
        OUTPUT_CLASSES: [[1, 2, 0]],
        OUTPUT_COUNT: [2],
    }
    return {name: np.array(changed.get(name, value), np.float32) for name, value in sound.items()}


LABELS = {1: "BB-8", 2: "R2-D2"}


def test_a_sound_answer_has_no_fault() -> None:
    assert value_faults([answer()], LABELS) == []


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        (OUTPUT_BOXES, [[[10, 10, 50, 50], [0, 0, 96, 96], [0, 0, 0, 0]]], "in pixels"),
        (OUTPUT_BOXES, [[[-0.1, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]], "outside 0 to 1"),
        (OUTPUT_BOXES, [[[0.5, 0.5, 0.1, 0.1], [0, 0, 1, 1], [0, 0, 0, 0]]], "far corner before"),
        (OUTPUT_BOXES, [[[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]], "past num_detections"),
        (OUTPUT_BOXES, [[[0, 0, np.nan, 1], [0, 0, 1, 1], [0, 0, 0, 0]]], "not finite"),
        (OUTPUT_SCORES, [[4.2, 0.6, 0]], "logits"),
        (OUTPUT_SCORES, [[0.6, 0.9, 0]], "do not fall"),
        (OUTPUT_CLASSES, [[0, 1, 0]], "hold 0: ids begin at 1"),
        (OUTPUT_CLASSES, [[1, 7, 0]], "hold 7, and the card names 1, 2 only"),
        (OUTPUT_CLASSES, [[1, 1.5, 0]], "not whole"),
        (OUTPUT_COUNT, [4], "is 4, of 3 slots"),
    ],
)
def test_a_wrong_number_is_named(name: str, values: list[object], words: str) -> None:
    (fault,) = value_faults([answer(**{name: values})], LABELS)
    assert words in fault


def test_the_sideways_picture_is_upright_once_turned() -> None:
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:16, :24] = (250, 20, 20)  # red at the top left
    data = sideways(picture)
    header = read_header(data)
    assert (header.orientation, header.upright_size) == (6, (48, 32))
    assert np.abs(decode(data).pixels.astype(int) - picture)[4:12, 4:20].max() < 20
    upright, stored = upright_and_stored(data, (32, 48))
    assert upright[8, 10, 0] > 200 and stored[8, 10, 0] < 50 and upright.shape == stored.shape


def test_what_cannot_be_examined_is_said() -> None:
    with pytest.raises(InvalidOptionError, match="name a folder"):
        examine()
    with pytest.raises(InvalidOptionError, match="there is no /nowhere"):
        examine(Path("/nowhere"))
    with pytest.raises(InvalidOptionError, match="name it"):
        examine(serving="127.0.0.1:9")
    with pytest.raises((UnavailableError, DeadlineError)):
        examine(serving="127.0.0.1:9", model="droids", timeout=0.5)


@pytest.mark.parametrize("arguments", [[], ["--serving", "127.0.0.1:9"], [".", "--model", "droids"]])
def test_half_an_address_is_a_usage_error(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, ["doctor", *arguments]).exit_code == Exit.USAGE


def test_a_server_that_is_not_there_is_tried_again_later() -> None:
    way = ["--serving", "127.0.0.1:9", "--model", "droids", "--timeout", "0.5"]
    assert CliRunner().invoke(main, ["doctor", *way]).exit_code == Exit.TRY_AGAIN


def test_the_command_prints_a_line_per_check_and_exits_with_1(tmp_path: Path) -> None:
    path = str(without_version(tmp_path))
    text = CliRunner().invoke(main, ["doctor", path, "--no-start-server"])
    assert text.exit_code == Exit.SOME_FAILED
    assert "fail     layout" in text.output and "wanted: droids/1/saved_model.pb" in text.output
    assert text.output.splitlines()[-1].startswith("0 passed, 3 failed")
    lines = CliRunner().invoke(main, ["doctor", path, "--no-start-server", "--json"]).output.splitlines()
    first = json.loads(lines[0])
    assert (first["check"], first["outcome"]) == ("layout", "fail")


def test_a_live_model_that_is_missing_is_a_failed_check() -> None:
    with fake_serving() as server:
        (result,) = examine(serving=server.target, model="nomodel")
    assert (result.check, result.outcome) == ("serves", Outcome.FAIL)


def test_boxes_without_area_agree_with_themselves() -> None:
    flat = BoxArrays(np.zeros((2, 4), np.float32), np.array([0.9, 0.8], np.float32), np.array([1, 2]))
    elsewhere = BoxArrays(flat.boxes + 0.1, flat.scores, flat.classes)
    assert agreement(flat, flat) == 1
    assert agreement(flat, elsewhere) == 0
