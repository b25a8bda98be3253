from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from support.exported import NAME, SIZE, random_network
from tensorflow_serving.apis import prediction_log_pb2

from sightline.contract import ASSETS_EXTRA, WARMUP_FILE
from sightline_serving.model_server.loading import VersionLoader
from sightline_serving.model_server.metrics import Metrics
from sightline_training.cli.main import cli
from sightline_training.export import export_version
from sightline_training.synthetic import LABELS


def test_sizes_of_batches_are_warmed_up_as_a_gpu_will_meet_them(tmp_path: Path) -> None:
    model, architecture = random_network()
    pictures = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    version = export_version(tmp_path / NAME, model, architecture, LABELS, pictures, warmup_batches=(2, 32))
    file = version / ASSETS_EXTRA / WARMUP_FILE
    found = {}
    for record in tf.compat.v1.io.tf_record_iterator(str(file)):
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        if request.model_spec.signature_name == "serving_default":
            batch = tf.make_ndarray(request.inputs["images"])
            assert batch.dtype == np.uint8
            found[len(batch)] = batch.shape[1:], np.unique(batch).tolist()
    assert found.keys() == {1, 2, 32}
    assert found[32] == found[2] == ((SIZE, SIZE, 3), [128])
    assert file.stat().st_size < 3 * SIZE * SIZE * 3  # a large batch costs no more than a picture
    VersionLoader(Metrics(), warm_up=True)(NAME, 1, version).retire()  # raises what a record cannot do


@pytest.mark.parametrize("sizes", ["two", "2,,4", "1", "2,-4", "4096", "²"])
def test_what_is_no_list_of_sizes_is_named(tmp_path: Path, sizes: str) -> None:
    asked = ["export", str(tmp_path), str(tmp_path / "m"), "--data", str(tmp_path), "--warmup-batches", sizes]
    from sightline_training.cli import model  # noqa: F401 - it adds its commands to `cli`

    told = CliRunner().invoke(cli, asked)
    assert told.exit_code == 2
    assert "no list of sizes from 2 to 1024, such as 2,4,8" in " ".join(told.stderr.split())
