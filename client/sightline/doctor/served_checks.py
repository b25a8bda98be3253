"""What only a running model tells: asked through TensorFlow Serving's protocol, whoever speaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sightline.contract import (
    DETECTION_OUTPUTS,
    SIGNATURE_ENCODED,
    ModelCard,
)
from sightline.counted import counted
from sightline.doctor.agreement import SAME, agreement, comparable
from sightline.doctor.answer_values import value_faults
from sightline.doctor.box_arrays import BoxArrays
from sightline.doctor.confusions import fit, name_confusion
from sightline.doctor.exif_pictures import sideways, upright_and_stored
from sightline.doctor.golden_pictures import GoldenPicture
from sightline.doctor.probe import Outputs, Probe, raw
from sightline.doctor.results import CheckResult, Subject
from sightline.doctor.signature_checks import OUTPUT_RANKS
from sightline.errors import SightlineError, UnavailableError
from sightline.images import encode_png
from sightline.tensors import to_array
from sightline.wire import serving_pb2 as wire

ANSWERS: Final = "answers"
VALUES: Final = "values"
JOINED: Final = "joined"
COLOURS: Final = "golden-boxes"
ENCODED: Final = "encoded"
EXIF: Final = "exif"
REPLAY: Final = "warm-up-replay"
SERVED_CHECKS: Final = (ANSWERS, VALUES, JOINED, COLOURS, ENCODED, EXIF, REPLAY)

_UNRESTORED: Final = "Could not find variable"  # TensorFlow's words
_RIGHT_VARIABLES: Final = (
    "an export that tracks raw variables only: Python's loader restores the rest, Serving does not"
)
_GIVE_FOLDER: Final = "the version folder, given beside --serving"


@dataclass(frozen=True, slots=True)
class Known:
    """What the other checks found out about the model."""

    card: ModelCard | None
    golden: Sequence[GoldenPicture]
    warmup: Sequence[wire.PredictRequest]
    has_folder: bool


def check_served(
    probe: Probe, size: tuple[int, int] | None, known: Known, about: Subject
) -> Iterator[CheckResult]:
    """Run the model.

    Args:
        probe: asks it; its signature is one whose answers can be read.
        size: (height, width) of its input.
        known: what its card, golden pictures and warm-up file hold.
        about: whom it is about.
    """
    pictures = [picture.pixels for picture in known.golden] or _drawn(size)
    try:
        answers = [probe.ask(picture[np.newaxis]) for picture in pictures]
    except UnavailableError:
        raise
    except SightlineError as fault:
        yield _not_answered(fault, about)
        yield from (about.skipped(check, f"see {ANSWERS}") for check in SERVED_CHECKS[1:])
        return
    shapes = _shape_faults(answers)
    yield about.judged(
        ANSWERS, shapes, counted(len(answers), "picture"), "each of the four outputs with [1, ...]"
    )
    if shapes:
        yield from (about.skipped(check, f"see {ANSWERS}") for check in SERVED_CHECKS[1:])
        return
    found = [raw(answer, 0) for answer in answers]
    faults = value_faults(answers, None if known.card is None else known.card.labels)
    boxes = sum(len(one.scores) for one in found)
    yield about.judged(
        VALUES,
        faults,
        f"{counted(boxes, 'box', 'boxes')}, all as it should be" if boxes else "no boxes, so little to see",
        "boxes 0 to 1 with ymin <= ymax, scores 0 to 1 and falling, classes from 1 that have labels, "
        "zeros past the count",
    )
    yield _guarded(JOINED, about, lambda: _joined(probe, pictures, found, about))
    yield _guarded(COLOURS, about, lambda: _golden(probe, known, found, faults, about))
    encodes = SIGNATURE_ENCODED in probe.signatures
    if encodes:
        yield _guarded(ENCODED, about, lambda: _encoded(probe, pictures, found, about))
        yield _guarded(EXIF, about, lambda: _exif(probe, pictures, about))
    else:
        yield from (about.skipped(check, f"there is no {SIGNATURE_ENCODED}") for check in (ENCODED, EXIF))
    yield _replayed(probe, known, about)


def _not_answered(fault: SightlineError, about: Subject) -> CheckResult:
    if _UNRESTORED in fault.detail:
        return about.failed(ANSWERS, f"variables are not restored: {fault.detail}", _RIGHT_VARIABLES)
    return about.failed(ANSWERS, fault.detail, "boxes for a picture at input size")


def _guarded(check: str, about: Subject, run: Callable[[], CheckResult]) -> CheckResult:
    """A refusal of the model is a fault like any other; a server that is gone ends the examination."""
    try:
        return run()
    except UnavailableError:
        raise
    except SightlineError as fault:
        return about.failed(check, fault.detail, "an answer")


def _shape_faults(answers: Sequence[Outputs]) -> list[str]:
    faults = []
    for name in DETECTION_OUTPUTS:
        shape = answers[0][name].shape if name in answers[0] else None
        if shape is None:
            faults.append(f"{name} is missing")
        elif len(shape) != OUTPUT_RANKS[name] or shape[0] != 1:
            told = ", without the batch dimension" if len(shape) == OUTPUT_RANKS[name] - 1 else ""
            faults.append(f"{name} is {list(shape)} for one picture{told}")
    return faults


def _drawn(size: tuple[int, int] | None) -> list[NDArray[np.uint8]]:
    """Soft patches of colour, where there are no golden pictures: something to look at, always the same."""
    height, width = size or (1, 1)
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(2):
        coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
        pictures.append(coarse.repeat(16, axis=0).repeat(16, axis=1)[:height, :width].copy())
    return pictures


def _joined(
    probe: Probe, pictures: Sequence[NDArray[np.uint8]], found: Sequence[BoxArrays], about: Subject
) -> CheckResult:
    """Whether a batch is answered as its pictures are alone, as Serving's batching needs it."""
    if not probe.joins:
        return about.skipped(JOINED, "see batch")
    several = list(pictures) if len(pictures) > 1 else [pictures[0], pictures[0][::-1]]
    alone = list(found) if len(pictures) > 1 else probe.alone(several)
    answer = probe.ask(np.stack(several))
    faults = [
        f"{name} is {list(answer[name].shape)} for {len(several)} pictures"
        for name in DETECTION_OUTPUTS
        if answer[name].shape[:1] != (len(several),)
    ]
    if not faults:
        likeness = [agreement(raw(answer, row), one) for row, one in enumerate(alone)]
        faults = [
            f"picture {row + 1} of {len(several)} gets other boxes together than alone (agreement {like:.2f})"
            for row, like in enumerate(likeness)
            if like < SAME
        ]
    return about.judged(
        JOINED,
        faults,
        f"{len(several)} pictures together as one by one",
        "a row of each output for each picture",
    )


def _golden(
    probe: Probe, known: Known, found: Sequence[BoxArrays], faults: Sequence[str], about: Subject
) -> CheckResult:
    """Whether the boxes are those given at export, and if not, which confusion explains it."""
    if not known.golden:
        why = "see golden-pictures" if known.has_folder else "the protocol does not carry the golden pictures"
        return about.skipped(COLOURS, why, "" if known.has_folder else _GIVE_FOLDER)
    if faults:
        return about.skipped(COLOURS, f"see {VALUES}")
    if not any(comparable(picture.expected) for picture in known.golden):
        return about.skipped(COLOURS, "no golden picture has a box to compare")
    likeness = fit(known.golden, found)
    if likeness >= SAME:
        return about.passed(COLOURS, f"the boxes given at export (agreement {likeness:.3f})")
    why = name_confusion(probe, known.golden, found)
    explained = why or "no confusion of colours, range, box order or class ids explains it: other weights?"
    told = f"other boxes than at export (agreement {likeness:.2f}); {explained}"
    return about.failed(COLOURS, told, "the boxes given at export")


def _encoded(
    probe: Probe, pictures: Sequence[NDArray[np.uint8]], found: Sequence[BoxArrays], about: Subject
) -> CheckResult:
    answers = probe.encoded([encode_png(picture) for picture in pictures])
    worst = min(agreement(one, two) for one, two in zip(answers, found, strict=True))
    if worst >= SAME:
        return about.passed(ENCODED, f"a PNG is answered as its pixels are (agreement {worst:.3f})")
    swapped = probe.encoded([encode_png(picture[..., ::-1]) for picture in pictures])
    turned = min(agreement(one, two) for one, two in zip(swapped, found, strict=True)) >= SAME
    why = "; red and blue are exchanged in one of the two" if turned else ""
    return about.failed(
        ENCODED,
        f"a PNG gets other boxes than its pixels (agreement {worst:.2f}){why}",
        "the same boxes both ways",
    )


def _exif(probe: Probe, pictures: Sequence[NDArray[np.uint8]], about: Subject) -> CheckResult:
    """A JPEG that lies on its side and says so: are the boxes those of the upright picture?"""
    data = [sideways(picture) for picture in pictures]
    both = [upright_and_stored(one, picture.shape[:2]) for one, picture in zip(data, pictures, strict=True)]
    upright, stored = (probe.alone([pair[which] for pair in both]) for which in (0, 1))
    turned = probe.encoded(data)
    as_upright, as_stored = (
        float(np.mean([agreement(one, two) for one, two in zip(turned, other, strict=True)]))
        for other in (upright, stored)
    )
    if not any(comparable(one) for one in (*upright, *stored)):
        return about.skipped(EXIF, "no picture has a box to compare")
    told = f"agreement {as_upright:.2f} with the upright picture, {as_stored:.2f} with it as stored"
    if as_upright > as_stored:
        return about.passed(EXIF, f"a sideways JPEG is turned upright ({told})")
    return about.failed(
        EXIF, f"EXIF orientation is ignored ({told})", "pictures turned upright before the model"
    )


def _replayed(probe: Probe, known: Known, about: Subject) -> CheckResult:
    if not known.warmup:
        why = "see warm-up" if known.has_folder else "the protocol does not carry the warm-up records"
        return about.skipped(REPLAY, why, "" if known.has_folder else _GIVE_FOLDER)
    faults = []
    for number, request in enumerate(known.warmup, 1):
        inputs = {name: to_array(tensor) for name, tensor in request.inputs.items()}
        signature = request.model_spec.signature_name
        try:
            probe.stub.predict(probe.ref, inputs, signature=signature)
        except UnavailableError:
            raise
        except SightlineError as fault:
            faults.append(f"record {number} ({signature}) fails: {fault.detail}")
    return about.judged(
        REPLAY,
        faults,
        f"{counted(len(known.warmup), 'record')} run",
        "records that run, or Serving refuses the version",
    )
