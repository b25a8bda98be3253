"""Which kind of network is trained, and what is told when weights, preset and library do not go together."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.hub_folders import CLASSES, SAVERS, SIZE

from sightline.errors import InputError
from sightline_training.families import architecture_for, architecture_from_json
from sightline_training.families.hub import HubArchitecture, HubStart
from sightline_training.labels import LabelMap
from sightline_training.model import Architecture
from sightline_training.presets import load_preset
from sightline_training.run import FitOptions, RunSettings
from sightline_training.starting import SsdStart, read_start


def described(family: str = "retinanet") -> HubArchitecture:
    return HubArchitecture(family, CLASSES, SIZE, SIZE, {}, (1.0,) * 3, (0.0,) * 3)


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "task.json").write_text(json.dumps({"class_name": "RetinaNetObjectDetector"}))
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(InputError, match=r"pip install 'sightline-training\[hub\]'"):
        read_start(str(tmp_path))


def test_a_folder_of_another_keras_hub_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text(json.dumps({"class_name": "GemmaCausalLM"}))
    with pytest.raises(InputError, match="GemmaCausalLM; expected is one of RetinaNetObjectDetector"):
        read_start(str(tmp_path))
    (tmp_path / "task.json").write_text("[]")
    with pytest.raises(InputError, match="no description of a KerasHub model"):
        read_start(str(tmp_path))
    (tmp_path / "task.json").write_text(json.dumps({"class_name": "DFineObjectDetector"}))
    with pytest.raises(InputError, match="KerasHub cannot read"):
        read_start(str(tmp_path))


def test_weights_and_preset_of_different_kinds_are_named() -> None:
    start = HubStart(described(), (), "weights/theirs")
    with pytest.raises(InputError, match="holds weights of a retinanet, and the preset trains a ssd"):
        architecture_for("ssd", 2, SIZE, None, start)
    other = SsdStart({}, batch_norm=False, source="coco.tflite")
    with pytest.raises(InputError, match="holds weights of a ssd, and the preset trains a d_fine"):
        architecture_for("d_fine", 2, SIZE, None, other)
    with pytest.raises(InputError, match="begun from a folder of KerasHub's"):
        architecture_for("retinanet", 2, SIZE, None)
    with pytest.raises(InputError, match="no kind of network 'yolo'; there are ssd, retinanet, d_fine"):
        architecture_for("yolo", 2, SIZE, None)
    with pytest.raises(InputError, match="100 x 100 pixels; a retinanet takes multiples of 32"):
        architecture_for("retinanet", 2, 100, None, start)


def test_an_architecture_of_an_unknown_kind_is_refused() -> None:
    assert architecture_from_json({"classes": 2}) == Architecture(2)
    with pytest.raises(ValueError, match="no kind of network 'other'"):
        architecture_from_json({"family": "other"})


@pytest.mark.parametrize("family", SAVERS)
def test_the_presets_train_their_kind(family: str) -> None:
    preset = load_preset(family)
    assert preset.network.family == family
    assert preset.network.size % 32 == 0


@pytest.mark.parametrize("page", ["training/README.md", "preset_files"])
def test_names_of_published_weights_are_keras_hubs(repository: Path, page: str) -> None:
    hub = pytest.importorskip("keras_hub")
    known = {*hub.models.RetinaNetObjectDetector.presets, *hub.models.DFineObjectDetector.presets}
    folder = repository / "training/sightline_training/preset_files"
    pages = folder.glob("*.toml") if page == "preset_files" else [repository / page]
    text = "\n".join(path.read_text() for path in pages)
    named = set(re.findall(r"\b(?:retinanet|dfine)_\w+", text))
    assert named
    assert named <= known


def test_settings_that_a_file_gives_back_are_the_same() -> None:
    data = {"start": "none", "pictures": 2, "fingerprint": "f", "learnt": ["a", "b"], "held_out": []}
    asked = RunSettings(described(), LabelMap(("bb8", "r2d2")), FitOptions(), data)
    assert RunSettings.from_json(asked.to_json()).differences(asked) == []
    other = replace(asked, architecture=replace(described(), scale=(0.5,) * 3))
    assert asked.differences(other) == ["architecture.scale is [0.5, 0.5, 0.5], not [1.0, 1.0, 1.0]"]
