"""ImageNet's backbone as a start: from Keras' cache, from a file, and when it cannot be had."""

from __future__ import annotations

import os
import subprocess
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format  # what Keras publishes is in this format
from support.labelled import write_voc
from support.training_runs import train_process, write_preset

from sightline.errors import InputError
from sightline_training import checkpoint
from sightline_training.model import Architecture
from sightline_training.starting import from_backbone, read_start

# Keras reads its own variables in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CACHED = "models/mobilenet_1_0_224_tf_no_top.h5"  # below Keras' home; the name under which Keras keeps it
NOWHERE = "http://127.0.0.1:9"  # a proxy that is not there, for machines that have a network


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keras' home with a random backbone in place of the published one."""
    folder = tmp_path_factory.mktemp("keras")
    (folder / "models").mkdir()
    keras.utils.set_random_seed(3)
    backbone = keras.applications.MobileNet(input_shape=(224, 224, 3), include_top=False, weights=None)
    with h5py.File(folder / CACHED, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, backbone)
    return folder


def fitted(folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """`fit` from the word `imagenet` in a process of its own, whose Keras has this home."""
    write_voc(folder / "data", 6)
    recipe = write_preset(folder, steps=1, every=1, frozen=27)  # the whole backbone
    arguments = ["fit", "--data", folder / "data", "--preset", recipe, "--weights", "imagenet", "--folds", 1]
    environment = {**os.environ, "KERAS_HOME": str(home), "https_proxy": NOWHERE, "HTTPS_PROXY": NOWHERE}
    return subprocess.run(
        train_process(*arguments, "--out", folder / "run"),
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.mark.slow
def test_the_word_takes_what_keras_has_kept(tmp_path: Path, home: Path) -> None:
    done = fitted(tmp_path, home)
    assert done.returncode == 0, done.stderr
    assert "Downloading" not in done.stdout
    trained = checkpoint.weights(tmp_path / "run" / "last.npz")
    with h5py.File(home / CACHED) as file:
        first, last = (file[name][name]["kernel"][()] for name in ("conv1", "conv_pw_13"))
    np.testing.assert_array_equal(trained["Conv2d_0/kernel"], first)
    np.testing.assert_array_equal(trained["Conv2d_13_pointwise/kernel"], last)


@pytest.mark.slow
def test_without_a_network_it_is_told_what_to_do(tmp_path: Path) -> None:
    done = fitted(tmp_path, tmp_path / "empty")
    assert done.returncode == 2
    *_, line = done.stderr.splitlines()
    assert line.startswith(
        "error: Keras cannot get MobileNet V1's ImageNet weights: URL fetch failure on https://"
    )
    assert line.endswith("name it with --weights, or put it into ~/.keras/models")
    assert not (tmp_path / "run").exists()


def test_the_file_itself_is_a_start(home: Path, tmp_path: Path) -> None:
    start = read_start(str(home / CACHED))
    assert start.family == "ssd"
    cut = tmp_path / "cut.h5"
    cut.write_bytes((home / CACHED).read_bytes()[:100_000])
    with pytest.raises(InputError, match=r"cut\.h5 is no MobileNet V1 backbone of width 1 that Keras reads"):
        read_start(str(cut))


def test_an_imagenet_backbone_fills_the_backbone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backbone = keras.applications.MobileNet(
            input_shape=(96, 96, 3), alpha=0.25, include_top=False, weights=None
        )
    start = from_backbone(backbone, "random")
    architecture = start.fit(Architecture(2, 96, 96))
    assert start.multiplier == 0.25
    assert architecture.batch_norm
    with pytest.raises(InputError, match="no MobileNet V1"):
        from_backbone(keras.Sequential([keras.Input((8,))]), "other")
