"""What every way to a detector offers, whether over HTTP or straight over gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from sightline.contract import ModelCard, ModelRef
from sightline.detections import Result
from sightline.errors import InputError
from sightline.geometry import Fit, Stretch
from sightline.inputs import ImageInput
from sightline.options import DetectOptions
from sightline.served_models import ServedModel


class Detector(Protocol):
    """Finds objects in pictures. Safe to share between threads."""

    def detect(
        self,
        image: ImageInput,
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Result:
        """Find the objects in one picture.

        Args:
            image: a path, encoded bytes, an array uint8 [h, w, 3] RGB, a PIL image or an open file.
            options: which boxes to keep; None keeps what the model's card recommends.
            model: instead of the detector's own; `NAME`, `NAME/versions/3` or `NAME/labels/stable`.
            timeout: seconds for the whole call, retries included; None takes the detector's own.
            request_id: the result's `id`, also found in the server's log; None makes one up.

        Raises:
            InputError: it is no picture, or too large a one.
            SightlineError: the model is missing, or a server fails.
        """
        ...

    def detect_many(
        self,
        images: Sequence[ImageInput],
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> list[Result | InputError]:
        """Find the objects in several pictures, sent together.

        A picture that cannot be read gives its error in its place and leaves the others alone.

        Raises:
            InputError: `images` is one picture, not a list.
            SightlineError: the model is missing, or a server fails.
        """
        ...

    def models(self) -> list[ServedModel]:
        """The models that can be asked and the states of their versions.

        Where the detector's own model is a version or a label, that version alone.

        Raises:
            SightlineError: the service cannot be reached, or does not know the model.
        """
        ...

    def card(self, model: str | ModelRef | None = None) -> ModelCard | None:
        """What a model says of itself; None where it carries no card.

        Raises:
            SightlineError: the model is missing, or a server fails.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class AsyncDetector(Protocol):
    """As `Detector`, to be awaited."""

    async def detect(
        self,
        image: ImageInput,
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Result:
        """As `Detector.detect`."""
        ...

    async def detect_many(
        self,
        images: Sequence[ImageInput],
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> list[Result | InputError]:
        """As `Detector.detect_many`."""
        ...

    async def models(self) -> list[ServedModel]:
        """As `Detector.models`."""
        ...

    async def card(self, model: str | ModelRef | None = None) -> ModelCard | None:
        """As `Detector.card`."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


@runtime_checkable
class Resizing(Protocol):
    """A detector that asks Serving itself, and so can say how pictures are resized for a model."""

    def resize(self, model: str | ModelRef | None = None) -> Stretch | Fit:
        """The rule of the model as it is now."""
        ...
