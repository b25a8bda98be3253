"""What a kind of network has to offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import keras
import tensorflow as tf

from sightline_training.suppression import SuppressionOptions

if TYPE_CHECKING:
    from sightline_training.run import FitOptions


class Described(Protocol):
    """A frozen dataclass that holds all that has to be known to build a network again."""

    @property
    def classes(self) -> int:
        """How many, without the background."""

    @property
    def height(self) -> int:
        """Pixels of the input; so is `width`."""

    @property
    def width(self) -> int:
        """As `height`."""


class Targets(Protocol):
    """Makes of labels what the loss asks for, inside the graph."""

    def __call__(self, corners: tf.Tensor, class_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """Make targets.

        Args:
            corners: float32 [N, B, 4], ymin xmin ymax xmax, 0 to 1.
            class_ids: int32 [N, B], from 1; 0 pads, -1 marks a box that is neither asked for nor background.
        """


class Family(Protocol):
    """How one kind of network is built, taught, read and served; nothing else knows which kind it is."""

    @property
    def suppression(self) -> SuppressionOptions:
        """Which of its boxes are kept, where nothing else is asked."""

    def build(self) -> keras.Model:
        """The network with random weights: float32 [N, H, W, 3] RGB, 0 to 255, to what `read` takes."""

    def freeze(self, model: keras.Model, count: int) -> None:
        """Leave the first `count` convolutions, and the normalisation behind them, as they are."""

    def targets(self, options: FitOptions) -> Targets:
        """What the loss that `compile` sets asks for."""

    def compile(self, model: keras.Model, optimizer: keras.Optimizer, options: FitOptions) -> None:
        """Give a network of `build` its loss."""

    def read(self, said: dict[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
        """Boxes float32 [N, A, 4], ymin xmin ymax xmax, 0 to 1, and scores float32 [N, A, C], 0 to 1."""

    def served(self, model: keras.Model) -> tuple[keras.Model, Described]:
        """A network that computes the same with less, and its description; the same where there is none."""
