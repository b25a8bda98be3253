"""Flags and the session config file -> TensorFlow's ConfigProto."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.model_servers import server_here
from support.serving_calls import Caller
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

from sightline_serving.model_server.options import Options
from sightline_serving.model_server.session_config import session_config
from sightline_serving.model_server.status import Code, StatusError


@pytest.mark.parametrize(
    ("flags", "intra", "inter"),
    [
        ({}, 0, 0),
        ({"tensorflow_session_parallelism": 3}, 3, 3),
        ({"tensorflow_intra_op_parallelism": 2}, 2, 0),
        ({"tensorflow_inter_op_parallelism": 4}, 0, 4),
        ({"tensorflow_session_parallelism": 3, "tensorflow_intra_op_parallelism": 2}, 2, 0),
    ],
)
def test_threads(flags: dict[str, Any], intra: int, inter: int) -> None:
    config = session_config(Options(**flags))
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == (intra, inter)


def test_the_three_kinds_of_threads_cannot_all_be_set() -> None:
    options = Options(
        tensorflow_session_parallelism=1, tensorflow_intra_op_parallelism=1, tensorflow_inter_op_parallelism=1
    )
    with pytest.raises(StatusError, match="You cannot configure all") as caught:
        session_config(options)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_flags_go_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "session.config"
    file.write_text(
        "intra_op_parallelism_threads: 7 inter_op_parallelism_threads: 8 allow_soft_placement: true"
    )
    config = session_config(Options(tensorflow_session_config_file=str(file)))
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == (7, 8)
    config = session_config(
        Options(tensorflow_session_config_file=str(file), tensorflow_session_parallelism=2)
    )
    assert config == config_pb2.ConfigProto(
        intra_op_parallelism_threads=2, inter_op_parallelism_threads=2, allow_soft_placement=True
    )


def test_the_part_of_a_gpu() -> None:
    config = session_config(Options(per_process_gpu_memory_fraction=0.25))
    assert config.gpu_options.per_process_gpu_memory_fraction == 0.25


def test_mixed_precision() -> None:
    rewrites = session_config(Options(mixed_precision="bfloat16")).graph_options.rewrite_options
    assert rewrites.auto_mixed_precision_onednn_bfloat16 == rewriter_config_pb2.RewriterConfig.ON
    with pytest.raises(StatusError, match="only bfloat16 is supported"):
        session_config(Options(mixed_precision="float16"))


def test_a_server_with_every_setting_answers(models: Path) -> None:
    flags = (
        "--model_name=module",
        f"--model_base_path={models / 'module'}",
        "--tensorflow_intra_op_parallelism=1",
        "--tensorflow_inter_op_parallelism=1",
        "--mixed_precision=bfloat16",
    )
    with server_here(*flags) as served, Caller(served.address) as caller:
        outputs = caller.outputs("module", "multiply", rows=[[1.0, 0.0, 0.0, 0.0]])
        assert outputs["products"].tolist() == [[0.0, 1.0, 2.0]]
