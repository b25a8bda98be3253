"""Flags and the session config file -> TensorFlow's ConfigProto."""

from __future__ import annotations

from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

from sightline_serving.model_server.config_files import read_text_proto
from sightline_serving.model_server.options import Options
from sightline_serving.model_server.status import invalid_argument

BFLOAT16 = "bfloat16"


def session_config(options: Options) -> config_pb2.ConfigProto:
    """How sessions are to run.

    Raises:
        StatusError: the flags contradict each other, or the file is unsound.
    """
    config = config_pb2.ConfigProto()
    if options.tensorflow_session_config_file:
        read_text_proto(options.tensorflow_session_config_file, config)
    both = options.tensorflow_session_parallelism
    intra, inter = options.tensorflow_intra_op_parallelism, options.tensorflow_inter_op_parallelism
    if both > 0 and intra > 0 and inter > 0:
        raise invalid_argument(
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, "
            "server_options.tensorflow_inter_op_parallelism) "
            "separately. You cannot configure all."
        )
    if intra > 0 or inter > 0:
        config.intra_op_parallelism_threads = intra
        config.inter_op_parallelism_threads = inter
    elif both > 0:
        config.intra_op_parallelism_threads = both
        config.inter_op_parallelism_threads = both
    if options.per_process_gpu_memory_fraction:
        config.gpu_options.per_process_gpu_memory_fraction = options.per_process_gpu_memory_fraction
    if options.mixed_precision:
        if options.mixed_precision != BFLOAT16:
            raise invalid_argument(
                f"--mixed_precision={options.mixed_precision}: only {BFLOAT16} is supported"
            )
        rewrites = config.graph_options.rewrite_options
        rewrites.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    return config
