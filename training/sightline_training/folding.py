"""Batch normalisation, taken into the convolutions before it."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np

from sightline_training.model import Architecture, build_ssd, norm_name


def fold_batch_norm(model: keras.Model, architecture: Architecture) -> tuple[keras.Model, Architecture]:
    """The same function without its normalisation layers: what is served has less to compute.

    Returns:
        A network with biases in place of batch norm, and its architecture; both as they are where there
        was nothing to fold.
    """
    if not architecture.batch_norm:
        return model, architecture
    plain = replace(architecture, batch_norm=False)
    folded = build_ssd(plain)
    for layer in folded.layers:
        if not layer.weights:
            continue
        source = model.get_layer(layer.name)
        if source.use_bias:  # a predictor
            layer.set_weights(source.get_weights())
            continue
        norm = model.get_layer(norm_name(layer.name))
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)
        (kernel,) = source.get_weights()
        depthwise = isinstance(source, keras.layers.DepthwiseConv2D)  # kernel [3, 3, C, 1]
        layer.set_weights([kernel * (scale[:, None] if depthwise else scale), beta - mean * scale])
    return folded, plain
