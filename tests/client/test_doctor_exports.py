"""`sightline doctor` on real exports: the good one passes, and of each broken one the fault is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.broken_exports import FAULTS, Exports, rewrite_warmup
from support.model_servers import server_here

from sightline.cli.exits import Exit
from sightline.contract import ASSETS_EXTRA, GOLDEN_FILE, GOLDEN_FOLDER, SIGNATURE_ENCODED, WARMUP_FILE
from sightline.doctor import CheckResult, Outcome, examine
from sightline.wire import serving_pb2 as wire

pytestmark = pytest.mark.slow

# fault -> the checks that fail, and words of the first one's finding
EXPECTED = {
    "good": ([], ""),
    "batch_fixed": (["batch"], "the batch of serving_default(images) is 1"),
    "batch_rows_lost": (["joined"], "gets other boxes together than alone"),
    "bgr": (["golden-boxes"], "the model takes BGR pixels"),
    "darkened": (["golden-boxes"], "the graph scales the pixels down"),
    "brightened": (["golden-boxes"], "the network wants 0 to 1 and the graph hands it 0 to 255"),
    "float_input_to_one": (["input", "golden-boxes"], "images is float32"),
    "count_scalar": (["outputs"], "num_detections is float32 [], without the batch dimension"),
    "outputs_squeezed": (["outputs"], "detection_boxes is float32 [100, 4], without the batch dimension"),
    "boxes_in_pixels": (["values"], "detection_boxes are in pixels"),
    "boxes_xy": (["golden-boxes"], "the boxes are xmin ymin xmax ymax"),
    "classes_from_zero": (["values"], "detection_classes hold 0"),
    "keras_variables": (["variables"], "94 of 188 variables are restored by Python's loader only"),
    "no_exif": (["exif"], "EXIF orientation is ignored"),
    "no_card": (["signatures"], "card is missing"),
    "no_encoded": (["signatures"], "encoded_images is missing"),
    "card_not_json": (["card"], "no JSON"),
    "card_lacks_a_class": (["values"], "detection_classes hold 2, and the card names 1 only"),
    "card_threshold": (["thresholds"], "class 1 has 50"),
    "card_size": (["card"], "the card says 300 x 96 pixels, the signature 96 x 96"),
    "card_constant": (["card-answers"], "asked for 2 cards, card gives 1"),
}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return Exports(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="module")
def address(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server with every export that it loads: that is all of them, without their warm-up."""
    listed = "".join(
        f'config {{ name: "{name}" base_path: "{exports.model(name)}" model_platform: "tensorflow" }}\n'
        for name in FAULTS
    )
    config = tmp_path_factory.mktemp("config") / "models.config"
    config.write_text(f"model_config_list {{ {listed} }}")
    with server_here(f"--model_config_file={config}", "--enable_model_warmup=false") as server:
        yield server.address


def failed(results: tuple[CheckResult, ...]) -> list[CheckResult]:
    return [result for result in results if result.outcome is Outcome.FAIL]


def test_every_fault_has_its_expectation() -> None:
    assert set(EXPECTED) == set(FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_named_and_no_other(name: str, exports: Exports, address: str) -> None:
    found = failed(examine(exports.model(name), serving=address, model=name))
    checks, words = EXPECTED[name]
    assert [result.check for result in found] == checks
    assert all(result.wanted for result in found)
    if found:
        assert words in found[0].found


def test_a_model_that_wants_floats_up_to_1_is_told(exports: Exports, address: str) -> None:
    name = "float_input_to_one"
    *_, colours = failed(examine(exports.model(name), serving=address, model=name))
    assert "the model takes RGB pixels from 0 to 1, and not RGB from 0 to 255" in colours.found


def test_a_live_server_is_examined_without_its_folder(address: str) -> None:
    results = examine(serving=address, model="good")
    assert not failed(results)
    skipped = [result.check for result in results if result.outcome is Outcome.SKIPPED]
    assert skipped == ["golden-boxes", "warm-up-replay"]  # the protocol carries neither
    assert {"exif", "joined", "card", "encoded"} <= {result.check for result in results}


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("batch_fixed", "batch", "is 1"),
        ("keras_variables", "answers", "variables are not restored"),
        ("no_exif", "exif", "ignored"),
    ],
)
def test_a_live_server_shows_its_faults_too(name: str, check: str, words: str, address: str) -> None:
    first, *_ = failed(examine(serving=address, model=name))
    assert first.check == check and words in first.found


def test_a_server_that_runs_another_model_is_noticed(exports: Exports, address: str) -> None:
    first, *_ = failed(examine(exports.model("good"), serving=address, model="batch_fixed"))
    assert (first.check, "has other signatures" in first.found) == ("serves", True)


# --- folders broken by hand; nothing need run to see it ---------------------------------------------


def _no_extra(version: Path) -> None:
    shutil.rmtree(version / ASSETS_EXTRA)


def _no_warmup(version: Path) -> None:
    (version / ASSETS_EXTRA / WARMUP_FILE).unlink()


def _warmup_damaged(version: Path) -> None:
    path = version / ASSETS_EXTRA / WARMUP_FILE
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _warmup_of_another_size(version: Path) -> None:
    def change(request: wire.PredictRequest) -> None:
        if request.model_spec.signature_name == "serving_default":
            request.inputs["images"].tensor_shape.dim[1].size = 300

    rewrite_warmup(version / ASSETS_EXTRA / WARMUP_FILE, change)


def _golden_cut(version: Path) -> None:
    path = version / ASSETS_EXTRA / GOLDEN_FOLDER / GOLDEN_FILE
    path.write_bytes(path.read_bytes()[:50])


def _golden_picture_gone(version: Path) -> None:
    (version / ASSETS_EXTRA / GOLDEN_FOLDER / "1.png").unlink()


def _model_cut(version: Path) -> None:
    path = version / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:1000])


def _no_values(version: Path) -> None:
    shutil.rmtree(version / "variables")


BY_HAND: dict[str, tuple[Callable[[Path], None], list[str], str]] = {
    "no_extra": (_no_extra, ["warm-up", "golden-pictures"], "no assets.extra"),
    "no_warmup": (_no_warmup, ["warm-up"], "there is no tf_serving_warmup_requests"),
    "warmup_damaged": (_warmup_damaged, ["warm-up"], "checksum of record"),
    "warmup_of_another_size": (_warmup_of_another_size, ["warm-up"], "uint8 [1, 300, 96, 3] as images"),
    "golden_cut": (_golden_cut, ["golden-pictures"], "no JSON"),
    "golden_picture_gone": (_golden_picture_gone, ["golden-pictures"], "there is no golden/1.png"),
    "model_cut": (_model_cut, ["saved-model"], "damaged"),
    "no_values": (_no_values, ["variables"], "94 variables, and no variables/variables.index"),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_fault_of_the_files_needs_no_server_to_be_seen(name: str, exports: Exports) -> None:
    damage, checks, words = BY_HAND[name]
    model = exports.copy(name)
    damage(model / "1")
    results = examine(model, start_server=False)
    found = failed(results)
    assert [result.check for result in found] == checks
    assert words in found[0].found and all(result.wanted for result in found)


def test_without_a_server_the_rest_is_skipped_and_says_how_to_get_one(exports: Exports) -> None:
    results = examine(exports.model("good"), start_server=False)
    assert not failed(results)
    skipped = {result.check: result for result in results if result.outcome is Outcome.SKIPPED}
    assert {"serves", "answers", "golden-boxes", "exif", "warm-up-replay"} <= set(skipped)
    assert "sightline-model-server" in skipped["serves"].wanted
    assert "card" not in skipped  # read from the graph


# --- with the server that doctor starts itself ------------------------------------------------------


def test_the_command_starts_a_server_and_passes_the_good_export(exports: Exports) -> None:
    command = [sys.executable, "-m", "sightline.cli", "doctor", str(exports.model("good") / "1"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert {result["outcome"] for result in results} == {"pass"}
    assert {"serves", "golden-boxes", "warm-up-replay"} <= {result["check"] for result in results}


def test_a_warm_up_that_fails_when_it_runs_is_named(exports: Exports) -> None:
    def change(request: wire.PredictRequest) -> None:
        if request.model_spec.signature_name == SIGNATURE_ENCODED:
            request.inputs["images"].string_val[0] = b"no picture"

    model = exports.copy("warmup_fails")
    rewrite_warmup(model / "1" / ASSETS_EXTRA / WARMUP_FILE, change)
    (found,) = failed(examine(model))
    assert found.check == "warm-up-replay"
    assert "record 2 (encoded_images) fails: Unknown image file format" in found.found


def test_a_version_that_does_not_load_is_named(exports: Exports) -> None:
    model = exports.copy("values_cut")
    (values,) = (model / "1" / "variables").glob("variables.data-*")
    values.write_bytes(values.read_bytes()[:100])
    (found,) = failed(examine(model))
    assert found.check == "serves" and "the server ended with 255" in found.found
