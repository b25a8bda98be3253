"""The detector: an SSD on MobileNet V1, in plain Keras.

Layers, names, feature maps and predictors are those of the Object Detection API's `ssd_mobilenet_v1`
(Liu et al. 2016; Howard et al. 2017), so that its published weights fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from sightline.errors import InputError
from sightline_training.anchors import anchors_per_cell, make_anchors
from sightline_training.batch_norm import FusedBatchNorm

BOXES: Final = "boxes"  # output float32 [N, A, 4], encoded as sightline_training.boxes has it
CLASSES: Final = "classes"  # output float32 [N, A, C], logits; class id 1 in column 0

# (filters at width 1, stride) of the thirteen separable convolutions
_SEPARABLE: Final = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
_FIRST_FILTERS: Final = 32
_TAPPED: Final = (11, 13)  # separable convolutions whose outputs are feature maps
_EXTRA: Final = ((256, 512), (128, 256), (128, 256), (64, 128))  # 1x1 then 3x3 stride 2, a map each
_MAPS: Final = len(_TAPPED) + len(_EXTRA)
_MIN_FILTERS: Final = 16  # `min_depth`: a narrow network is not thinned below it
_NORM_MOMENTUM: Final = 0.95  # the published 0.9997 needs far more steps than a small data set has
_NORM_EPSILON: Final = 1e-3
_PRIOR: Final = 0.01  # score of an untrained anchor, so that background does not drown the start (Lin 2017)


@dataclass(frozen=True, slots=True)
class Architecture:
    """What has to be known to build the network again."""

    classes: int
    height: int = 300  # pixels of the input
    width: int = 300
    multiplier: float = 1.0  # of all filters; the published COCO weights have 0.75
    batch_norm: bool = True  # False: biases in its place, as in weights that have it folded in

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise InputError(f"a detector has at least one class, not {self.classes}")
        if min(self.height, self.width) < 96:
            raise InputError(f"the input is {self.height} x {self.width} pixels; 96 x 96 is the least")
        if not 0 < self.multiplier <= 2:
            raise InputError(f"the width multiplier is {self.multiplier}; it lies above 0 and not above 2")

    def filters(self, at_width_one: int) -> int:
        """The filters of a layer that has `at_width_one` at multiplier 1."""
        return max(int(at_width_one * self.multiplier), _MIN_FILTERS)

    @property
    def grids(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of the feature maps, finest first."""
        halvings = (4, 5, *range(6, 6 + len(_EXTRA)))
        return tuple((_halve(self.height, n), _halve(self.width, n)) for n in halvings)

    def anchors(self) -> NDArray[np.float32]:
        """As `make_anchors`, for this input size."""
        return make_anchors(self.grids)


def _halve(pixels: int, times: int) -> int:
    for _ in range(times):
        pixels = math.ceil(pixels / 2)  # stride 2 with SAME padding
    return pixels


def build_ssd(architecture: Architecture) -> keras.Model:
    """Build the network with random weights.

    Its input is float32 [N, H, W, 3] RGB, 0 to 255; scaling to -1 to 1 is inside. Its outputs are a
    dictionary of BOXES and CLASSES. TensorFlow's SAME padding throughout.
    """
    net = _Builder(architecture)
    pixels = keras.Input((architecture.height, architecture.width, 3), name="images")
    x = layers.Rescaling(1 / 128, offset=-1, name="Scaled")(pixels)
    x = net.conv(x, "Conv2d_0", _FIRST_FILTERS, kernel=3, stride=2)
    maps = []
    for number, (filters, stride) in enumerate(_SEPARABLE, 1):
        x = net.depthwise(x, f"Conv2d_{number}_depthwise", stride)
        x = net.conv(x, f"Conv2d_{number}_pointwise", filters)
        if number in _TAPPED:
            maps.append(x)
    for number, (squeezed, filters) in enumerate(_EXTRA, 2):
        x = net.conv(x, f"Conv2d_13_pointwise_1_Conv2d_{number}_1x1", squeezed)
        x = net.conv(x, f"Conv2d_13_pointwise_2_Conv2d_{number}_3x3_s2", filters, kernel=3, stride=2)
        maps.append(x)
    boxes, classes = [], []
    for number, (tapped, count) in enumerate(zip(maps, anchors_per_cell(_MAPS), strict=True)):
        name = f"BoxPredictor_{number}"
        boxes.append(net.predictor(tapped, f"{name}_BoxEncodingPredictor", count, 4, bias=0.0))
        classes.append(
            net.predictor(
                tapped,
                f"{name}_ClassPredictor",
                count,
                architecture.classes,
                bias=math.log(_PRIOR / (1 - _PRIOR)),
            )
        )
    outputs = {
        BOXES: layers.Concatenate(1, name=BOXES)(boxes),
        CLASSES: layers.Concatenate(1, name=CLASSES)(classes),
    }
    return keras.Model(pixels, outputs, name="ssd_mobilenet_v1")


def norm_name(convolution: str) -> str:
    """The name of the batch norm behind a convolution."""
    return f"{convolution}_BatchNorm"


class _Builder:
    """The repeated pieces, at one architecture's width."""

    def __init__(self, architecture: Architecture) -> None:
        self._architecture = architecture
        self._bias = not architecture.batch_norm

    def conv(self, x: Any, name: str, filters: int, *, kernel: int = 1, stride: int = 1) -> Any:
        layer = layers.Conv2D(
            self._architecture.filters(filters),
            kernel,
            stride,
            "same",
            use_bias=self._bias,
            kernel_initializer="he_normal",
            name=name,
        )
        return self._activated(layer(x), name)

    def depthwise(self, x: Any, name: str, stride: int) -> Any:
        layer = layers.DepthwiseConv2D(
            3,
            stride,
            "same",
            use_bias=self._bias,
            # he_normal would count all channels as inputs, of which a depthwise filter sees one
            depthwise_initializer=keras.initializers.RandomNormal(stddev=math.sqrt(2 / 9)),
            name=name,
        )
        return self._activated(layer(x), name)

    def predictor(self, x: Any, name: str, anchors: int, values: int, *, bias: float) -> Any:
        """A 1x1 convolution, laid out as [N, rows x columns x anchors, values]."""
        layer = layers.Conv2D(
            anchors * values,
            1,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            bias_initializer=keras.initializers.Constant(bias),
            name=name,
        )
        return layers.Reshape((-1, values), name=f"{name}_flat")(layer(x))

    def _activated(self, x: Any, name: str) -> Any:
        if self._architecture.batch_norm:
            x = FusedBatchNorm(momentum=_NORM_MOMENTUM, epsilon=_NORM_EPSILON, name=norm_name(name))(x)
        return layers.ReLU(6.0, name=f"{name}_Relu6")(x)
