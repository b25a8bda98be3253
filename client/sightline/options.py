"""What a caller may ask of a detection, checked once for every way in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sightline.contract import DEFAULT_MAX_DETECTIONS, is_utf8
from sightline.errors import InvalidOptionError


@dataclass(frozen=True, slots=True)
class DetectOptions:
    """Which of the model's boxes to keep.

    Raises:
        InvalidOptionError: a value is out of range.
    """

    threshold: float | None = None  # score; None takes the card's, per class
    max_detections: int = DEFAULT_MAX_DETECTIONS  # per picture, best scores first
    classes: Collection[str] | None = None  # labels to keep; None keeps all

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise InvalidOptionError(f"threshold is {self.threshold}; it goes from 0 to 1")
        if self.max_detections < 1:
            raise InvalidOptionError(f"max_detections is {self.max_detections}; it is at least 1")
        if isinstance(self.classes, str):  # a collection of its letters, to Python
            raise InvalidOptionError(f"classes is the text {self.classes!r}; give a list of labels")
        if self.classes is not None:
            for label in self.classes:
                if not is_utf8(label):
                    raise InvalidOptionError(f"classes holds {label!a}, which is no label; labels are text")
            object.__setattr__(self, "classes", frozenset(self.classes))

    def check_classes(self, known: Collection[str]) -> None:
        """Compare with a model's labels: a misspelt one would only look as if nothing were there.

        Raises:
            InvalidOptionError: a label is wanted that the model does not have.
        """
        if self.classes is None or not known:  # a model without labels is asked for its numbers
            return
        if unknown := sorted(set(self.classes) - set(known)):
            raise InvalidOptionError(f"the model has no class {unknown[0]!r}; it has {', '.join(known)}")
