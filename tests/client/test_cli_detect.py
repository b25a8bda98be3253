from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import grpc
import numpy as np
import pytest
from click.testing import CliRunner, Result
from support.fake_serving import Arrays, FakeServing, FakeVersion, Refusal, droids, fake_serving
from support.running_gateway import running_gateway

from sightline.cli import main
from sightline.cli.exits import Exit, exit_code
from sightline.cli.result_formats import FORMATS
from sightline.contract import INPUT_IMAGES
from sightline.errors import every_error
from sightline.images import encode_jpeg, encode_png


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServing]:
    with fake_serving() as running:
        yield running


@pytest.fixture(scope="module")
def url(server: FakeServing) -> Iterator[str]:
    with running_gateway(server.target) as address:
        yield address


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a bright picture, a dark one and a file that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "bright.jpg").write_bytes(encode_jpeg(np.full((300, 200, 3), 230, np.uint8)))
    (folder / "dark.png").write_bytes(encode_png(np.full((90, 120, 3), 20, np.uint8)))
    (folder / "notes.txt").write_text("no picture")
    return folder


def sightline(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_over_both_ways_the_same_lines(url: str, server: FakeServing, photos: Path) -> None:
    http = sightline("detect", "--json", "--gateway", url, photos)
    grpc = sightline("detect", "--json", "--serving", server.target, "--model", "droids", photos)
    assert http.exit_code == grpc.exit_code == Exit.OK
    assert [Path(str(line["source"])).name for line in lines(http)] == ["bright.jpg", "dark.png"]
    assert [line["detections"] for line in lines(http)] == [line["detections"] for line in lines(grpc)]


def test_text_is_a_line_per_object(url: str, photos: Path) -> None:
    result = sightline("detect", "--gateway", url, "--threshold", 0.5, photos / "bright.jpg")
    first = result.stdout.splitlines()[0].split("\t")
    assert first[1:] == ["R2-D2", "0.900", "40 30 100 180"]
    none = sightline("detect", "--gateway", url, "--threshold", 0.95, photos / "dark.png")
    assert none.stdout.endswith("nothing found\n")


def test_a_picture_from_standard_input(url: str, photos: Path) -> None:
    result = sightline("detect", "--gateway", url, "--json", "-", stdin=(photos / "bright.jpg").read_bytes())
    assert result.exit_code == Exit.OK
    assert lines(result)[0]["source"] == "-"


def test_a_bad_picture_is_named_and_the_others_are_done(url: str, photos: Path) -> None:
    result = sightline(
        "detect", "--gateway", url, "--json", photos / "notes.txt", photos / "gone.jpg", photos
    )
    assert result.exit_code == Exit.SOME_FAILED
    assert [line.get("error", {}).get("code") for line in lines(result)] == [  # type: ignore[attr-defined]
        "not_an_image",
        "no_image",
        None,
        None,
    ]
    assert "notes.txt: " in result.stderr and "there is no file" in result.stderr


def test_names_that_are_not_utf8_are_shown_as_far_as_they_can_be(
    url: str, photos: Path, tmp_path: Path
) -> None:
    (photos / "a\udcff.jpg").write_bytes((photos / "bright.jpg").read_bytes())
    (photos / "b\udcff.jpg").write_bytes(b"none")
    for format_ in FORMATS:
        result = sightline("detect", "--format", format_, "--gateway", url, photos, "gone\udcff.jpg")
        assert result.exit_code == Exit.SOME_FAILED
        assert "a?.jpg" in result.stdout
        assert "b?.jpg: " in result.stderr and "there is no file gone?.jpg" in result.stderr
    out = tmp_path / "out"
    assert sightline("detect", "--json", "--gateway", url, "--out", out, photos).exit_code == Exit.SOME_FAILED
    assert json.loads((out / "a\udcff.json").read_bytes())["source"].endswith("a?.jpg")


def test_a_folder_without_pictures_is_said(url: str, tmp_path: Path) -> None:
    result = sightline("detect", "--gateway", url, tmp_path)
    assert result.exit_code == Exit.SOME_FAILED
    assert "holds no pictures" in result.stderr


def test_drawn_pictures_show_the_boxes(url: str, photos: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "new" / "drawn"
    assert sightline("detect", "--gateway", url, "--draw", drawn, photos).exit_code == Exit.OK
    assert sorted(path.name for path in drawn.iterdir()) == ["bright.jpg", "dark.jpg"]
    before, after = cv2.imread(str(photos / "dark.png")), cv2.imread(str(drawn / "dark.jpg"))
    assert after.shape == before.shape
    assert after.max() > 150 > before.max()


def test_a_picture_too_long_to_be_drawn_is_named_and_the_others_are_done(
    url: str, photos: Path, tmp_path: Path
) -> None:
    (photos / "long.png").write_bytes(encode_png(np.zeros((2, 70_000, 3), np.uint8)))
    drawn = tmp_path / "drawn"
    result = sightline("detect", "--json", "--gateway", url, "--draw", drawn, photos)
    assert result.exit_code == Exit.SOME_FAILED
    assert ["error" in line for line in lines(result)] == [False] * 3
    assert "long.png: not drawn: a picture of 70000 x 2 pixels is too long" in result.stderr
    assert sorted(path.name for path in drawn.iterdir()) == ["bright.jpg", "dark.jpg"]


def test_equal_names_from_two_folders_are_kept_apart(url: str, photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "dark.jpg").write_bytes((photos / "bright.jpg").read_bytes())
    out = tmp_path / "out"
    result = sightline(
        "detect", "--gateway", url, "--format", "voc", "--out", out, photos / "dark.png", other
    )
    assert result.exit_code == Exit.OK
    assert sorted(path.name for path in out.iterdir()) == ["dark-2.xml", "dark.xml"]
    assert [node.findtext("name") for node in ET.parse(out / "dark-2.xml").iter("object")] == [
        "R2-D2",
        "BB-8",
    ]


def test_a_picture_is_never_replaced_by_its_own_drawing(url: str, photos: Path) -> None:
    before = (photos / "bright.jpg").read_bytes()
    result = sightline("detect", "--gateway", url, "--draw", photos, photos / "bright.jpg")
    assert result.exit_code == Exit.USAGE
    assert (photos / "bright.jpg").read_bytes() == before
    (photos / "bright.bmp").write_bytes(before)  # whose drawing has the other's name
    result = sightline("detect", "--gateway", url, "--draw", photos, photos)
    assert (result.exit_code, "replaced by the result of" in result.stderr) == (Exit.USAGE, True)
    assert (photos / "bright.jpg").read_bytes() == before


def test_coco_is_one_list(url: str, photos: Path) -> None:
    result = sightline("detect", "--gateway", url, "--format", "coco", photos)
    found = json.loads(result.stdout)
    assert [item["category_id"] for item in found] == [2, 1, 2]
    assert found[0]["bbox"] == [40, 30, 60, 150]


def test_of_a_run_that_the_service_ends_the_list_holds_what_was_found(tmp_path: Path) -> None:
    def answer(inputs: Arrays) -> Arrays:
        if any(not picture.any() for picture in inputs[INPUT_IMAGES]):
            raise Refusal(grpc.StatusCode.INTERNAL, "out of luck")
        return droids(inputs)

    for number in range(8):  # as many as are sent together
        (tmp_path / f"{number}.png").write_bytes(encode_png(np.full((60, 60, 3), 20, np.uint8)))
    (tmp_path / "black.png").write_bytes(encode_png(np.zeros((60, 60, 3), np.uint8)))
    with fake_serving({"droids": {1: FakeVersion(answer=answer)}}) as server:
        told = ("--serving", server.target, "--model", "droids", "--format", "coco")
        result = sightline("detect", *told, tmp_path)
    assert (result.exit_code, "out of luck" in result.stderr) == (Exit.REFUSED, True)
    assert [Path(item["image_id"]).stem for item in json.loads(result.stdout)] == list("01234567")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--gateway", "http://127.0.0.1:9", "--timeout", "1"), Exit.TRY_AGAIN, "cannot be reached"),
        (("--gateway", "localhost:8080"), Exit.USAGE, "http://"),
        (("--gateway", "http://host:port"), Exit.USAGE, "Invalid port"),
        (("--timeout", "nan"), Exit.USAGE, "not a finite number"),
        (("--model", "droids/versions/9223372036854775808"), Exit.USAGE, "versions are 0 to"),
        (("--model", "dr\udcffids"), Exit.USAGE, "NAME/versions/3"),
        (("--class", "B\udcff"), Exit.USAGE, "labels are text"),
        (("--api-key", "secret\n"), Exit.USAGE, "without spaces and line breaks"),
        (("--serving", "127.0.0.1:9"), Exit.USAGE, "--model"),
        (("--serving", "127.0.0.1:9", "--model", "a/b/c"), Exit.USAGE, "NAME/versions/3"),
        (("--serving", "127.0.0.1:9", "--gateway", "http://a", "--model", "a"), Exit.USAGE, "not both"),
        (("--threshold", "7"), Exit.USAGE, "0<=x<=1"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_code(
    photos: Path, arguments: tuple[str, ...], code: Exit, says: str
) -> None:
    result = sightline("detect", *arguments, photos / "dark.png")
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stdout == ""


def test_a_wrong_model_name_is_refused(url: str, photos: Path) -> None:
    result = sightline("detect", "--gateway", url, "--model", "nomodel", photos / "dark.png")
    assert result.exit_code == Exit.REFUSED
    assert "nomodel" in result.stderr


def test_a_misspelt_class_is_a_usage_error(url: str, server: FakeServing, photos: Path) -> None:
    for way in (("--gateway", url), ("--serving", server.target, "--model", "droids")):
        result = sightline("detect", *way, "--class", "BB8", photos)
        assert (result.exit_code, "it has BB-8, R2-D2" in result.stderr) == (Exit.USAGE, True)


def test_a_disk_that_fills_up_leaves_nothing_half_written(url: str, tmp_path: Path) -> None:
    """A limit of 1 KiB on the size of a file stands in for the full disk: the write breaks off midway."""
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8)
    (tmp_path / "noise.jpg").write_bytes(encode_jpeg(noise))
    command = f"ulimit -f 1; {sys.executable} -m sightline.cli detect --gateway {url} --draw drawn noise.jpg"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == Exit.LOCAL_FILE
    assert done.stderr == b"Error: drawn/noise.jpg: File too large\n"
    assert list((tmp_path / "drawn").iterdir()) == []


def test_every_error_has_an_exit_code() -> None:
    codes = {cls.code: exit_code(cls("")) for cls in every_error()}
    assert codes["serving_unavailable"] == codes["overloaded"] == codes["serving_timeout"] == Exit.TRY_AGAIN
    assert codes["model_not_found"] == codes["signature"] == codes["unauthorized"] == Exit.REFUSED
    assert codes["invalid_option"] == Exit.USAGE
    assert set(codes.values()) == {Exit.TRY_AGAIN, Exit.REFUSED, Exit.SOME_FAILED, Exit.USAGE}


def test_a_reader_that_has_seen_enough_is_no_error(url: str, photos: Path) -> None:
    command = f"{sys.executable} -m sightline.cli detect --json --gateway {url} {photos} | head -c 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"{", b"")
