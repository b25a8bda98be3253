"""The straight line from bytes to boxes: decode -> resize -> predict -> postprocess."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.catalog import Catalog, KnownModel
from sightline.contract import SERVING_TIMEOUT, ModelCard, ModelRef
from sightline.detections import Result, ms_since
from sightline.errors import (
    InputError,
    InvalidOptionError,
    ModelNotFoundError,
    ServingError,
    SightlineError,
    UnavailableError,
)
from sightline.families import RawDetections
from sightline.geometry import Fit, Stretch
from sightline.images import DEFAULT_MAX_PIXELS, Picture, read_encoded
from sightline.inputs import ImageInput, several
from sightline.made_anew import MadeAnew
from sightline.model_input import Loaded, ModelInput, load_picture, make_ready
from sightline.options import DetectOptions
from sightline.postprocess import select
from sightline.served_models import ServedModel
from sightline.shown import Shown
from sightline.tf_serving import Prediction, ServingStub

DEFAULT_BATCH: Final = 8  # pictures in one request, until the server names a smaller limit
_LARGE: Final = 4_000_000  # pixels, decoded; above, pictures are decoded one at a time
_BATCH_LIMIT: Final = re.compile(r"larger than maximum input batch size (\d+)")  # Serving's words


class _Answer(NamedTuple):
    """What a model said to several pictures."""

    model: KnownModel  # of the last of them
    ready: Sequence[ModelInput | InputError]  # one per picture
    found: Sequence[tuple[KnownModel, RawDetections]]  # one per picture that was read
    predict_ms: float


class Serving(MadeAnew):
    """A detector behind TensorFlow Serving, asked directly by gRPC. Safe to share between threads.

    Args:
        target: `host:port` and the like, or a stub of your own.
        model: the model asked where a call names none.
        labels: class id -> label, for models that carry no card.
        max_pixels: limit on width x height of a picture.
        timeout: seconds for a request as a whole, where the call gives none.
    """

    def __init__(
        self,
        target: str | ServingStub,
        *,
        model: str | ModelRef,
        labels: Mapping[int, str] | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        timeout: float = SERVING_TIMEOUT,
    ) -> None:
        self.stub = ServingStub(target, timeout=timeout) if isinstance(target, str) else target
        self.model = ModelRef.of(model)
        self.catalog = Catalog(self.stub, labels=labels)
        self.max_pixels = max_pixels
        self.timeout = timeout
        self._batch = DEFAULT_BATCH
        # A few kilobytes may be 150 MB decoded, and every thread could be sent such.
        self._one_large = threading.Lock()

    def detect(
        self,
        image: ImageInput,
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Result:
        """Find the objects in one picture; see `sightline.interface.Detector.detect`.

        A `Picture` is taken too, resized already as `resize` says.
        """
        (outcome,) = self.detect_many([image], options, model=model, timeout=timeout, request_id=request_id)
        if isinstance(outcome, SightlineError):
            raise outcome
        return outcome

    def detect_many(
        self,
        images: Sequence[ImageInput],
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> list[Result | InputError]:
        """Find the objects in several pictures; see `sightline.interface.Detector.detect_many`."""
        begun = time.perf_counter()
        images = several(images)
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        answer = self._answer(self._ref(model), [load_picture(image) for image in images], deadline)
        name, options = request_id or uuid.uuid4().hex, options or DetectOptions()
        options.check_classes(answer.model.labels.values())
        answers = iter(answer.found)
        outcomes: list[Result | InputError] = []
        for image, ready in zip(images, answer.ready, strict=True):
            if isinstance(ready, InputError):
                outcomes.append(ready)
                continue
            at = time.perf_counter()
            known, raw = next(answers)
            kept = select(raw, ready.size, options, known.labels, known.thresholds)
            timing = {
                "decode": ready.decode_ms,
                "resize": ready.resize_ms,
                "predict": answer.predict_ms,
                "postprocess": ms_since(at),
                "total": ms_since(begun),
            }
            shown = None if isinstance(image, Picture) else Shown(image)
            outcomes.append(Result(name, known.told, ready.size, kept, timing, shown))
        return outcomes

    def models(self) -> list[ServedModel]:
        """The one model that is asked; TensorFlow Serving does not list what it has."""
        ref = self.model
        if ref.label is not None:  # which Serving ignores here
            ref = ModelRef(ref.name, self.catalog.refresh(ref).version)
        return [ServedModel(ref.name, True, self.stub.status(ref))]

    def card(self, model: str | ModelRef | None = None) -> ModelCard | None:
        """What the model says of itself now; None where it carries no card."""
        return self.catalog.refresh(self._ref(model)).card

    def resize(self, model: str | ModelRef | None = None) -> Stretch | Fit:
        """How pictures are resized for the model as it is now.

        Who decodes elsewhere may apply it there, and ask about a `Picture`; if another version comes
        meanwhile that wants another size, it is resized once more.
        """
        return self.catalog.current(self._ref(model), timeout=self.timeout).family.resize

    def check_classes(self, options: DetectOptions, model: str | ModelRef | None = None) -> None:
        """Find out before the first of many pictures is sent whether the model has the classes asked for.

        Raises:
            InvalidOptionError: it lacks one, as it is now.
        """
        ref = self._ref(model)
        try:
            options.check_classes(self.catalog.current(ref, timeout=self.timeout).labels.values())
        except InvalidOptionError:  # a version that came meanwhile may have it
            options.check_classes(self.catalog.refresh(ref, timeout=self.timeout).labels.values())

    def close(self) -> None:
        """Close the connection."""
        self.stub.close()

    def __enter__(self) -> Serving:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ref(self, model: str | ModelRef | None) -> ModelRef:
        return self.model if model is None else ModelRef.of(model)

    def _answer(self, ref: ModelRef, loaded: Sequence[Loaded | InputError], deadline: float) -> _Answer:
        """Make the pictures ready, ask the model, and say which version answered for each.

        Versions may change between learning how to ask one and asking it, between two batches, and
        between an answer and learning its labels. If the new one wants another size or signature, or has
        gone again, the pictures are sent once more, made ready for what is there then.
        """
        known = self.catalog.current(ref, timeout=_left(deadline))
        for last in (False, False, True):
            ready = [self._ready(item, known.family.resize) for item in loaded]
            pixels = [item.pixels for item in ready if isinstance(item, ModelInput)]
            if not pixels:
                return _Answer(known, ready, [], 0.0)
            at = time.perf_counter()
            try:
                found = []
                newer = known
                for version, raw in self._ask(ref, known, pixels, deadline):
                    if version != newer.version:
                        newer = self.catalog.refresh(ref, version=version, timeout=_left(deadline))
                    found.append((newer, raw))
                if all(model is known or model.family == known.family for model, _ in found):
                    return _Answer(newer, ready, found, ms_since(at))
            except (ServingError, ModelNotFoundError) as fault:
                if last or fault.retryable:  # a busy server is not asked yet more
                    raise
                newer = self.catalog.refresh(ref, timeout=_left(deadline))
                if newer is known and not isinstance(fault, ModelNotFoundError):
                    raise
            known = newer
        raise UnavailableError(f"the versions of {ref} change faster than they can be asked")

    def _ready(self, loaded: Loaded | InputError, resize: Stretch | Fit) -> ModelInput | InputError:
        """Decode and resize; of several pictures only the small ones are kept."""
        if isinstance(loaded, InputError):
            return loaded
        try:
            if not isinstance(loaded, bytes):
                return make_ready(loaded, resize)
            at_least = (resize.height, resize.width)
            encoded = read_encoded(loaded, at_least=at_least, max_pixels=self.max_pixels)
            if encoded.pixels <= _LARGE:
                return make_ready(encoded, resize)
            with self._one_large:
                return make_ready(encoded, resize)
        except InputError as fault:
            return fault

    def _ask(
        self, ref: ModelRef, known: KnownModel, pixels: Sequence[NDArray[np.uint8]], deadline: float
    ) -> list[tuple[int, RawDetections]]:
        """Send pictures of the model's size in batches that the server takes.

        Returns:
            For each the version that answered, and what it found.
        """
        family = known.family
        found: list[tuple[int, RawDetections]] = []
        at = 0
        while at < len(pixels):
            batch = pixels[at : at + min(self._batch, family.batch or self._batch)]
            try:
                answer = self._send(ref, known, family.inputs(batch), deadline)
            except ServingError as fault:
                limit = _BATCH_LIMIT.search(fault.detail)
                if limit is None or int(limit[1]) >= len(batch):
                    raise
                self._batch = int(limit[1])
                continue
            found += [(answer.version, raw) for raw in family.read(answer.outputs, len(batch))]
            at += len(batch)
        return found

    def _send(
        self, ref: ModelRef, known: KnownModel, inputs: Mapping[str, NDArray[Any]], deadline: float
    ) -> Prediction:
        family = known.family
        return self.stub.predict(
            ref, inputs, signature=family.signature, outputs=family.outputs, timeout=_left(deadline)
        )


def _left(deadline: float) -> float:
    """Seconds until a deadline on the monotonic clock; never negative, which gRPC would take for none."""
    return max(deadline - time.monotonic(), 0.001)
