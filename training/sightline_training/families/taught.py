"""A network whose loss looks at all of its outputs together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

Objective = Callable[[dict[str, Any], dict[str, Any]], dict[str, tf.Tensor]]  # targets, outputs -> losses


class TaughtNetwork(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Minimises the sum of an objective's losses; `fit` tells the mean of those that are named beside it."""

    def teach(self, objective: Objective, told: Sequence[str] = ()) -> None:
        """Set what is minimised, before `compile`."""
        self._objective = objective
        self._told = [keras.metrics.Mean(name=f"{name}_loss") for name in told]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        losses = self._objective(y, y_pred)
        for mean in self._told:
            mean.update_state(losses[mean.name.removesuffix("_loss")])
        return tf.add_n(list(losses.values()))
