"""The training loop: Keras' own `fit`, with what a run needs around it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from sightline.errors import InputError
from sightline.geometry import Stretch
from sightline_training import checkpoint
from sightline_training.batches import Batches
from sightline_training.board import Board
from sightline_training.coco_metrics import CocoMetrics, measure, predict
from sightline_training.detector import Detector
from sightline_training.examples import Dataset
from sightline_training.families import family_of
from sightline_training.pictures import load_pictures
from sightline_training.run import FitOptions, Run


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run tells as it goes."""

    step: int
    steps: int
    loss: float
    metrics: CocoMetrics | None = None  # of an evaluation that was just made


def _quiet(_: Progress) -> None:
    """Say nothing."""


def fit(
    run: Run,
    training: Dataset,
    validation: Dataset | None = None,
    *,
    start: Callable[[keras.Model], object] = lambda _: None,
    tell: Callable[[Progress], None] = _quiet,
) -> keras.Model:
    """Train, or go on from where the run's last checkpoint stands.

    Args:
        run: where settings come from and weights go to.
        training: what to learn from.
        validation: what to measure on; None keeps the last weights as the best.
        start: puts the weights to start from into the new network.
        tell: told of every step.

    Returns:
        The network with the best weights.

    Raises:
        InputError: the loss is no number any more, so the recipe does not suit the data.
    """
    if run.done:
        return run.trained()
    options, architecture = run.settings.fit, run.settings.architecture
    family = family_of(architecture)
    keras.utils.set_random_seed(options.seed)
    with _strategy().scope():
        model = family.build()
        start(model)
        family.freeze(model, options.frozen)
        optimizer = _optimizer(options)
        family.compile(model, optimizer, options)
    notes = checkpoint.restore(run.last, model, optimizer) if run.last.exists() else {"step": 0}
    batches = Batches(
        training,
        architecture,
        augmentation=options.augmentation,
        targets=family.targets(options),
        batch_size=options.batch_size,
        seed=options.seed,
    )
    keeper = _Keeper(run, validation, notes, tell)
    if not notes.get("stopped") and notes["step"] < options.steps:
        model.fit(
            batches.from_step(notes["step"]),
            steps_per_epoch=options.checkpoint_every,
            initial_epoch=notes["step"] // options.checkpoint_every,
            epochs=math.ceil(options.steps / options.checkpoint_every),
            callbacks=[keeper],
            shuffle=False,
            verbose=0,
        )
    run.finish(
        {
            "steps": keeper.step,
            "best": keeper.standing.best,
            "seconds": round(keeper.seconds, 1),
            "cpu_seconds": round(keeper.cpu_seconds, 1),
        }
    )
    return run.trained()


def _strategy() -> tf.distribute.Strategy:
    """Several GPUs share each batch; with one or none there is nothing to share."""
    several = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def _optimizer(options: FitOptions) -> keras.Optimizer:
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=options.learning_rate / max(options.warmup_steps, 1),
        decay_steps=max(options.steps - options.warmup_steps, 1),
        warmup_target=options.learning_rate,
        warmup_steps=options.warmup_steps,
    )
    return keras.optimizers.Adam(
        schedule,
        global_clipnorm=options.clip_norm,
        use_ema=options.average > 0,
        ema_momentum=options.average,
    )


@dataclass(slots=True)
class Standing:
    """The best evaluation so far, and how many were made since."""

    best: float = -1.0  # AP; below every real one
    waited: int = 0

    def improved(self, ap: float) -> bool:
        """Take note of an evaluation's AP: whether it is the best.

        An undefined one (NaN: the pictures hold nothing to find) cannot be compared, so the latest is taken.
        """
        if ap <= self.best:
            self.waited += 1
            return False
        self.best, self.waited = (self.best if math.isnan(ap) else ap), 0
        return True

    def over(self, patience: int) -> bool:
        """Whether so many evaluations in a row were no better; a patience of 0 never ends."""
        return 0 < patience <= self.waited


class _Keeper(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Keeps checkpoints, measures on the validation pictures, tells of it, and stops in time."""

    def __init__(
        self,
        run: Run,
        validation: Dataset | None,
        notes: dict[str, Any],
        tell: Callable[[Progress], None],
    ) -> None:
        super().__init__()
        self._run = run
        self._options = run.settings.fit
        self._validation = validation
        self._tell = tell
        self.step: int = notes["step"]  # made so far
        self.standing = Standing(notes.get("best", -1.0), notes.get("waited", 0))
        self._before: float = notes.get("seconds", 0.0)
        self._cpu_before: float = notes.get("cpu_seconds", 0.0)
        self._began, self._cpu_began = time.monotonic(), time.process_time()
        self._board = Board(run.board)

    @property
    def seconds(self) -> float:
        """Of wall time in the loop, over all sittings."""
        return self._before + time.monotonic() - self._began

    @property
    def cpu_seconds(self) -> float:
        """Of all threads in the loop, over all sittings: steps, views, and evaluations if there are any."""
        return self._cpu_before + time.process_time() - self._cpu_began

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        architecture = self._run.settings.architecture
        self._detector = Detector(model, architecture)
        if self._validation is not None:
            size = Stretch(architecture.height, architecture.width)
            self._pixels = load_pictures(self._validation.examples, size)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.step += 1
        loss = (logs or {}).get("loss", math.nan)
        if not math.isfinite(loss):
            raise InputError(
                f"the loss is {loss} at step {self.step}: the training diverged. Try a smaller "
                f"learning_rate, which is {self._options.learning_rate:g}, or a smaller clip_norm"
            )
        self._tell(Progress(self.step, self._options.steps, loss))
        if self.step == self._options.steps:  # in the midst of an epoch, unless they are a multiple of it
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        last = self.step >= self._options.steps
        rate = float(self.model.optimizer.learning_rate)
        self._board.losses(self.step, {**(logs or {}), "learning rate": rate})
        if last or self.step % self._options.evaluate_every == 0:
            self._evaluate((logs or {}).get("loss", math.nan), last)
        stopped = self.standing.over(self._options.patience)
        checkpoint.save(
            self._run.last,
            self.model,
            self.model.optimizer,
            step=self.step,
            best=self.standing.best,
            waited=self.standing.waited,
            seconds=self.seconds,
            cpu_seconds=self.cpu_seconds,
            stopped=stopped,
        )
        self.model.stop_training = stopped or last

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self._board.close()

    def _evaluate(self, loss: float, last: bool) -> None:
        with averaged(self.model):
            if self._validation is None:
                if last:
                    checkpoint.save(self._run.best, self.model, step=self.step)
                return
            found = predict(self._detector, self._pixels)
            metrics = measure(self._validation, found)
            self._board.evaluation(self.step, metrics, self._validation, self._pixels, found)
            if self.standing.improved(metrics.AP):
                checkpoint.save(self._run.best, self.model, step=self.step, AP=metrics.AP)
        self._tell(Progress(self.step, self._options.steps, loss, metrics))


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """The model with the moving average of its weights, for as long as the block lasts."""
    variables = model.trainable_variables
    raw = [variable.numpy() for variable in variables]
    model.optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, raw, strict=True):
            variable.assign(value)
