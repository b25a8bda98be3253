"""Training batches: shuffled, augmented and matched, the same for the same seed and step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from sightline.geometry import Stretch
from sightline_training.augmentation import Augmentation, AugmentationOptions
from sightline_training.examples import Dataset
from sightline_training.families import Described
from sightline_training.families.family import Targets
from sightline_training.pictures import load_picture, load_pictures, padded_boxes

_ROOM: Final = 1.6  # kept pictures' side to the input's, so that a closer view is still sharp
_KEPT_BYTES: Final = 4 * 2**30  # of decoded pictures; larger data sets are decoded at each use


class Batches:
    """An endless stream of batches that can begin at any step.

    Args:
        dataset: what to learn from.
        architecture: of the network.
        augmentation: how the pictures are varied.
        targets: says what the network should have answered.
        batch_size: pictures per step.
        seed: of order and views.
        progress: told the number of pictures decoded since the last call.
    """

    def __init__(
        self,
        dataset: Dataset,
        architecture: Described,
        *,
        augmentation: AugmentationOptions,
        targets: Targets,
        batch_size: int,
        seed: int,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._count = len(dataset.examples)
        self._batch_size = batch_size
        self._last = tf.constant(self._count - 1, tf.int64)
        self._seed = tf.constant(seed, tf.int64)
        self._augment = Augmentation(augmentation, architecture.height, architecture.width)
        self._targets = targets
        self._corners, self._class_ids = padded_boxes(dataset.examples, dataset.labels.id_of)
        size = Stretch(round(_ROOM * architecture.height), round(_ROOM * architecture.width))
        self._pixels = self._reader(dataset, size, progress)

    def from_step(self, step: int) -> tf.data.Dataset:
        """Batches (pixels float32 [N, H, W, 3], what `targets` makes), from `step` on."""
        steps = tf.data.Dataset.range(step, np.iinfo(np.int64).max)
        stream = steps.map(self._batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        options = tf.data.Options()
        # The stream is sharded by nobody: each replica's batch is cut from the global one.
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return stream.with_options(options).prefetch(2)

    def _batch(self, step: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        shown = step * self._batch_size + tf.range(self._batch_size, dtype=tf.int64)
        index = self._shuffled(shown)
        corners, class_ids = tf.gather(self._corners, index), tf.gather(self._class_ids, index)
        pixels, corners, class_ids = self._augment(
            self._pixels(index), corners, class_ids, tf.stack([self._seed, step])
        )
        return pixels, self._targets(corners, class_ids)

    def _shuffled(self, shown: tf.Tensor) -> tf.Tensor:
        """Which pictures are the `shown`-th, int64 [N]: every epoch has all of them, in its own order."""
        epoch, position = shown // self._count, shown % self._count
        seed = tf.stack([tf.zeros_like(epoch), tf.fill(tf.shape(epoch), self._seed), epoch], -1)
        last = tf.fill(tf.shape(position), self._last)
        # The raw operation, because tf.random.experimental.index_shuffle pads a list of seeds wrongly.
        return tf.raw_ops.RandomIndexShuffle(index=position, seed=seed, max_index=last, rounds=4)

    @staticmethod
    def _reader(
        dataset: Dataset, size: Stretch, progress: Callable[[int], None]
    ) -> Callable[[tf.Tensor], tf.Tensor]:
        """Index int64 [N] -> pixels uint8 [N, h, w, 3]."""
        examples = dataset.examples
        if len(examples) * size.height * size.width * 3 <= _KEPT_BYTES:
            kept = tf.constant(load_pictures(examples, size, progress=progress))
            return lambda index: tf.gather(kept, index)

        def read(index: NDArray[np.int64]) -> NDArray[np.uint8]:
            return np.stack([load_picture(examples[number], size) for number in index])

        def read_in_graph(index: tf.Tensor) -> tf.Tensor:
            pixels = tf.numpy_function(read, [index], tf.uint8)
            return tf.ensure_shape(pixels, [None, size.height, size.width, 3])

        return read_in_graph
