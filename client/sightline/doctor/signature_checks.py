"""A model's signatures against the contract: told from the folder or by the server, checked alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sightline.contract import (
    DETECTION_OUTPUTS,
    INPUT_IMAGES,
    INPUT_QUERY,
    OUTPUT_BOXES,
    OUTPUT_CARD,
    OUTPUT_CLASSES,
    OUTPUT_COUNT,
    OUTPUT_SCORES,
    SIGNATURE_CARD,
    SIGNATURE_ENCODED,
    SIGNATURE_PIXELS,
)
from sightline.doctor.results import CheckResult, Subject
from sightline.signatures import Signature, TensorSpec

SIGNATURES: Final = "signatures"
INPUT: Final = "input"
BATCH: Final = "batch"
OUTPUTS: Final = "outputs"

_FREE: Final = -1
_CHANNELS: Final = 3
_INPUTS: Final = {
    SIGNATURE_PIXELS: INPUT_IMAGES,
    SIGNATURE_ENCODED: INPUT_IMAGES,
    SIGNATURE_CARD: INPUT_QUERY,
}
OUTPUT_RANKS: Final = {OUTPUT_BOXES: 3, OUTPUT_SCORES: 2, OUTPUT_CLASSES: 2, OUTPUT_COUNT: 1}
_RIGHT_INPUT: Final = "uint8 [N, H, W, 3], RGB, 0 to 255, H and W fixed; the graph itself scales pixels"
_RIGHT_OUTPUTS: Final = (
    f"{OUTPUT_BOXES} float32 [N, M, 4], {OUTPUT_SCORES} and {OUTPUT_CLASSES} float32 [N, M], "
    f"{OUTPUT_COUNT} float32 [N], and no other"
)


def input_size(signatures: Mapping[str, Signature]) -> tuple[int, int] | None:
    """(height, width) of the pixels signature; None where it fixes none."""
    spec = _pixels(signatures)
    if spec is None or spec.shape is None or len(spec.shape) != 4 or min(spec.shape[1:3]) < 1:
        return None
    return spec.shape[1], spec.shape[2]


def answers_are_readable(signatures: Mapping[str, Signature]) -> bool:
    """Whether the answers to pixels can be told apart by picture: all four outputs, batch first, one size."""
    pixels = signatures.get(SIGNATURE_PIXELS)
    if pixels is None or input_size(signatures) is None or _pixels(signatures) is None:
        return False
    dtype = pixels.inputs[INPUT_IMAGES].dtype
    return dtype in {"uint8", "float32"} and all(
        name in pixels.outputs and _rank(pixels.outputs[name]) in {OUTPUT_RANKS[name], None}
        for name in DETECTION_OUTPUTS
    )


def check_signatures(signatures: Mapping[str, Signature], about: Subject) -> Iterator[CheckResult]:
    """Names, dtypes and shapes."""
    yield _check_names(signatures, about)
    pixels = _pixels(signatures)
    if pixels is None:
        why = f"there is no {SIGNATURE_PIXELS}({INPUT_IMAGES})"
        yield from (about.skipped(check, why) for check in (INPUT, BATCH, OUTPUTS))
        return
    yield about.judged(INPUT, list(_input_faults(pixels)), f"{INPUT_IMAGES}: {pixels}", _RIGHT_INPUT)
    yield _check_batch(signatures, about)
    yield about.judged(OUTPUTS, _all_output_faults(signatures), "the four, batch first", _RIGHT_OUTPUTS)


def _pixels(signatures: Mapping[str, Signature]) -> TensorSpec | None:
    signature = signatures.get(SIGNATURE_PIXELS)
    return None if signature is None else signature.inputs.get(INPUT_IMAGES)


def _rank(spec: TensorSpec) -> int | None:
    return None if spec.shape is None else len(spec.shape)


def _check_names(signatures: Mapping[str, Signature], about: Subject) -> CheckResult:
    faults = [f"{name} is missing" for name in _INPUTS if name not in signatures]
    for name, wanted in _INPUTS.items():
        if name in signatures and set(signatures[name].inputs) != {wanted}:
            faults.append(f"{name} takes {', '.join(sorted(signatures[name].inputs)) or 'nothing'}")
    for name in (SIGNATURE_ENCODED, SIGNATURE_CARD):
        spec = signatures[name].inputs.get(_INPUTS[name]) if name in signatures else None
        if spec is not None and (spec.dtype != "string" or (spec.shape is not None and len(spec.shape) != 1)):
            faults.append(f"{name} takes {spec}")
    card = signatures.get(SIGNATURE_CARD)
    if card is not None and set(card.outputs) != {OUTPUT_CARD}:
        faults.append(f"{SIGNATURE_CARD} gives {', '.join(sorted(card.outputs))}")
    wanted = (
        f"{SIGNATURE_PIXELS}({INPUT_IMAGES}: uint8 [N, H, W, 3]), {SIGNATURE_ENCODED}({INPUT_IMAGES}: string "
        f"[N]) and {SIGNATURE_CARD}({INPUT_QUERY}: string [N])"
    )
    return about.judged(SIGNATURES, faults, ", ".join(_INPUTS), wanted)


def _input_faults(spec: TensorSpec) -> Iterator[str]:
    """What is wrong with the pixels but for their batch dimension."""
    if spec.dtype != "uint8":
        yield f"{INPUT_IMAGES} is {spec}: four times the bytes, and a range that is left to guess"
    if spec.shape is None or len(spec.shape) != 4:
        yield f"{INPUT_IMAGES} is {spec}"
    elif spec.shape[3] != _CHANNELS:
        yield f"{INPUT_IMAGES} has {spec.shape[3]} channels"
    elif min(spec.shape[1:3]) < 1:
        yield f"{INPUT_IMAGES} is {spec}: pictures of several sizes cannot be batched"


def _check_batch(signatures: Mapping[str, Signature], about: Subject) -> CheckResult:
    faults = []
    for name in _INPUTS:
        for key, spec in signatures[name].inputs.items() if name in signatures else ():
            if spec.shape is not None and (not spec.shape or spec.shape[0] != _FREE):
                size = spec.shape[0] if spec.shape else "missing"
                faults.append(f"the batch of {name}({key}) is {size}: {spec}")
    return about.judged(
        BATCH,
        faults,
        "free on every input",
        "an export traced with None as the first dimension of each input",
    )


def _all_output_faults(signatures: Mapping[str, Signature]) -> list[str]:
    """Those of the pixels signature, then what the encoded one has of its own."""
    faults = list(_output_faults(signatures[SIGNATURE_PIXELS].outputs))
    encoded = signatures.get(SIGNATURE_ENCODED)
    if encoded is not None:
        own = (fault for fault in _output_faults(encoded.outputs) if fault not in faults)
        faults += [f"{SIGNATURE_ENCODED}: {fault}" for fault in own]
    return faults


def _output_faults(outputs: Mapping[str, TensorSpec]) -> Iterator[str]:
    """What is wrong with the detections; an unknown side or rank is left to the run."""
    for name in DETECTION_OUTPUTS:
        if name not in outputs:
            yield f"{name} is missing"
            continue
        spec = outputs[name]
        if spec.dtype != "float32":
            yield f"{name} is {spec.dtype}"
        if spec.shape is None:
            continue
        if len(spec.shape) == OUTPUT_RANKS[name] - 1:
            yield f"{name} is {spec}, without the batch dimension"
        elif len(spec.shape) != OUTPUT_RANKS[name] or (
            name == OUTPUT_BOXES and spec.shape[2] not in {4, _FREE}
        ):
            yield f"{name} is {spec}"
    others = sorted(set(outputs) - set(DETECTION_OUTPUTS))
    if others:
        yield f"{', '.join(others)} leaves the model too, and crosses the wire with every answer"
