"""A run's folder: what was asked for, how far it came, the best and the last weights."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import keras

from sightline.errors import InputError, UnavailableError
from sightline_training import checkpoint
from sightline_training.augmentation import AugmentationOptions
from sightline_training.families import Described, architecture_from_json, family_of
from sightline_training.labels import LabelMap
from sightline_training.losses import CLASS_LOSSES, FOCAL
from sightline_training.ranges import SHARE, Range, check
from sightline_training.replacing import remove_parts, write_text

_SETTINGS: Final = "run.json"
_LAST: Final = "last.npz"
_BEST: Final = "best.npz"
_DONE: Final = "done.json"
_METRICS: Final = "metrics.json"
_WEIGHTS: Final = "weights"  # a key in it: the digest of those that were measured
METRICS, THRESHOLDS = "metrics", "thresholds"  # keys in it
_BOARD: Final = "tensorboard"
_RANGES: Final = {
    **dict.fromkeys(("steps", "batch_size", "checkpoint_every", "evaluate_every"), Range(1)),
    **dict.fromkeys(("learning_rate", "clip_norm"), Range(0, open=True)),
    **dict.fromkeys(("warmup_steps", "frozen", "patience", "overlap_weight"), Range(0)),
    **dict.fromkeys(("average", "matched", "unmatched", "focal_alpha"), SHARE),
    "seed": Range(0, 2**32 - 1),  # what NumPy's generator takes
}


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How to train."""

    steps: int = 450
    batch_size: int = 8
    learning_rate: float = 5e-4  # its peak; a cosine takes it to 0
    warmup_steps: int = 50
    clip_norm: float = 10.0  # of all gradients together
    average: float = 0.98  # momentum of the weights' moving average, which is what is kept
    frozen: int = 0  # of the first convolutions, left as they are
    checkpoint_every: int = 50  # steps
    evaluate_every: int = 50  # steps, a multiple of checkpoint_every
    patience: int = 0  # evaluations without a better AP after which to stop; 0 never stops
    matched: float = 0.5  # IoU from which an anchor answers for a box
    unmatched: float = 0.4  # IoU below which an anchor is background
    class_loss: str = FOCAL  # or VARIFOCAL, for networks that place boxes well from the start
    focal_alpha: float = 0.25  # weight of what is there, in the class loss; the rest is of what is not
    overlap_weight: float = 0.0  # of 1 - GIoU beside smooth L1, in the box loss
    seed: int = 1
    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)

    def __post_init__(self) -> None:
        check(self, _RANGES)
        if self.class_loss not in CLASS_LOSSES:
            raise InputError(f"class_loss is {self.class_loss!r}; it is one of {', '.join(CLASS_LOSSES)}")
        if self.evaluate_every % self.checkpoint_every:
            raise InputError(
                f"evaluate_every is {self.evaluate_every}; it must be a multiple of checkpoint_every, "
                f"which is {self.checkpoint_every}"
            )


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What makes a run what it is; a run goes on only under the settings it was begun with."""

    architecture: Described
    labels: LabelMap
    fit: FitOptions
    data: Mapping[str, Any]  # fingerprint of what is learnt from, digests of its pictures, names held out

    def to_json(self) -> str:
        """As text that `from_json` reads."""
        return json.dumps({**asdict(self), "labels": {"names": self.labels.names}}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> RunSettings:
        """The inverse of `to_json`."""
        plain = json.loads(text)
        if "learnt" not in plain["data"]:
            raise ValueError("it does not tell which pictures were learnt from; train the run anew")
        fit = plain["fit"]
        fit["augmentation"] = AugmentationOptions(**fit["augmentation"])
        labels = LabelMap(tuple(plain["labels"]["names"]))
        architecture = architecture_from_json(plain["architecture"])
        return cls(architecture, labels, FitOptions(**fit), plain["data"])

    def differences(self, other: RunSettings) -> list[str]:
        """What another run's settings have otherwise, in words; empty where they are the same."""
        told = []
        for part in ("architecture", "fit"):
            mine, theirs = (dict(_leaves(_as_kept(getattr(side, part)), part)) for side in (self, other))
            told += [
                f"{name} is {theirs.get(name)}, not {mine.get(name)}"
                for name in mine | theirs
                if mine.get(name) != theirs.get(name)
            ]
        if self.labels != other.labels:
            told.append(f"the classes are {', '.join(other.labels)}, not {', '.join(self.labels)}")
        if self.data["start"] != other.data["start"]:
            told.append(f"the weights to start from are {other.data['start']}, not {self.data['start']}")
        split = [(side.data["pictures"], len(side.data["held_out"])) for side in (other, self)]
        if split[0] != split[1]:
            told.append(
                "{} pictures are learnt from and {} held out, not {} and {}".format(*split[0], *split[1])
            )
        elif self.data["learnt"] != other.data["learnt"] or self.data["held_out"] != other.data["held_out"]:
            told.append("there are other pictures")
        elif self.data["fingerprint"] != other.data["fingerprint"]:
            told.append("the same pictures have other names or labels")
        return told


def _as_kept(part: Any) -> dict[str, Any]:
    """As a run's file gives it back, where a tuple is a list."""
    kept: dict[str, Any] = json.loads(json.dumps(asdict(part)))
    return kept


def _leaves(plain: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in plain.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}", value


class Run:
    """A run on disk. Every file in it is written beside and renamed."""

    def __init__(self, folder: Path, settings: RunSettings) -> None:
        self.folder = folder
        self.settings = settings

    @classmethod
    def begin(cls, folder: Path, settings: RunSettings, *, resume: bool = False) -> Run:
        """Begin a run, or with `resume` find the one begun with these very settings.

        Raises:
            InputError: the folder holds a run that was not asked for, or one with other settings.
        """
        if not resume:
            cls.refuse_taken(folder)
        elif (folder / _SETTINGS).exists():
            run = cls.open(folder)
            differences = run.settings.differences(settings)
            if differences:
                raise InputError(
                    f"{folder} holds a run that was begun otherwise: now {'; '.join(differences)}. "
                    "Name another folder, or ask as before"
                )
            return run
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / _SETTINGS, settings.to_json())
        return cls(folder, settings)

    @staticmethod
    def refuse_taken(folder: Path) -> None:
        """Say before long work that a run cannot be begun.

        Raises:
            InputError: the folder holds one already.
        """
        if (folder / _SETTINGS).exists():
            raise InputError(f"{folder} holds a run already; --resume goes on with it")

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Find a run.

        Raises:
            InputError: there is none.
        """
        try:
            text = (folder / _SETTINGS).read_text(encoding="utf-8")
        except OSError:
            raise InputError(f"{folder} holds no run: {_SETTINGS} is missing") from None
        try:
            return cls(folder, RunSettings.from_json(text))
        except (ValueError, KeyError, TypeError) as fault:
            raise InputError(f"{folder / _SETTINGS} cannot be read: {fault}") from None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the run to this process while the block trains it; a process that dies gives it up.

        Raises:
            UnavailableError: another process is training it.
        """
        with (self.folder / _SETTINGS).open("r+b") as file:  # what lasts from beginning to end; NFS: to write
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UnavailableError(
                    f"another process is training {self.folder}; let it finish, or stop it"
                ) from None
            remove_parts(self.folder)
            yield

    @property
    def last(self) -> Path:
        """Weights and optimizer of the latest step that was kept."""
        return self.folder / _LAST

    @property
    def best(self) -> Path:
        """Weights of the best evaluation so far; of the last one where there was none."""
        return self.folder / _BEST

    @property
    def board(self) -> Path:
        """TensorBoard's event files."""
        return self.folder / _BOARD

    @property
    def done(self) -> bool:
        """Whether the run came to its end."""
        return (self.folder / _DONE).exists()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Mark the run as having come to its end."""
        write_text(self.folder / _DONE, json.dumps(summary, indent=2))

    def summary(self) -> dict[str, Any]:
        """What `finish` was told."""
        told: dict[str, Any] = json.loads((self.folder / _DONE).read_text(encoding="utf-8"))
        return told

    def keep_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write what `evaluate` found; export puts it into the card."""
        kept = {**metrics, _WEIGHTS: self._best_digest()}
        write_text(self.folder / _METRICS, json.dumps(kept, indent=2))

    def metrics(self) -> dict[str, Any]:
        """What `evaluate` found: METRICS by name, THRESHOLDS by class id (in JSON a text).

        Nothing where the weights have become others since.
        """
        path = self.folder / _METRICS
        if not path.exists():
            return {}
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found if found.pop(_WEIGHTS, None) == self._best_digest() else {}

    def _best_digest(self) -> str:
        return hashlib.sha256(self.best.read_bytes()).hexdigest()

    def trained(self) -> keras.Model:
        """The network with the run's best weights.

        Raises:
            InputError: the run has kept none yet.
        """
        if not self.best.exists():
            raise InputError(f"{self.folder} has kept no weights yet; let `fit` finish first")
        model = family_of(self.settings.architecture).build()
        checkpoint.restore(self.best, model)
        return model
