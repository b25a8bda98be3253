"""The warm-up records of a version: there, sound, one for each signature, and fit to be replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.message import DecodeError

from sightline.contract import ASSETS_EXTRA, SIGNATURE_ENCODED, SIGNATURE_PIXELS, WARMUP_FILE
from sightline.counted import counted
from sightline.doctor.folders import VersionFolder
from sightline.doctor.record_file import records
from sightline.doctor.results import CheckResult
from sightline.signatures import Signature
from sightline.tensors import dtype_name
from sightline.wire import serving_pb2 as wire

WARMUP: Final = "warm-up"
MAX_RECORDS: Final = 1000  # Serving refuses a version that has more
_RIGHT: Final = (
    f"{ASSETS_EXTRA}/{WARMUP_FILE}, a TFRecord file of PredictionLog messages, at least one for each of "
    f"{SIGNATURE_PIXELS} and {SIGNATURE_ENCODED}"
)


def read_warmup(data: bytes) -> list[wire.PredictRequest]:
    """The requests in a file of warm-up records.

    Raises:
        ValueError: the file or a record cannot be read.
    """
    requests = []
    for number, record in enumerate(records(data), 1):
        try:
            log = wire.PredictionLog.FromString(record)
        except DecodeError as fault:
            raise ValueError(f"record {number} is no PredictionLog: {fault}") from fault
        if not log.HasField("predict_log"):
            raise ValueError(f"record {number} is no predict_log")
        requests.append(log.predict_log.request)
    return requests


def check_warmup(
    folder: VersionFolder, signatures: Mapping[str, Signature]
) -> tuple[CheckResult, Sequence[wire.PredictRequest]]:
    """Look at the file; also give its requests, to be replayed."""
    about = folder.subject
    if not (folder.path / ASSETS_EXTRA).is_dir():
        return about.failed(WARMUP, f"the folder has no {ASSETS_EXTRA}", _RIGHT), ()
    path = folder.path / ASSETS_EXTRA / WARMUP_FILE
    if not path.is_file():
        return about.failed(WARMUP, f"there is no {WARMUP_FILE}: the first callers will wait", _RIGHT), ()
    try:
        requests = read_warmup(path.read_bytes())
    except ValueError as fault:
        return about.failed(WARMUP, str(fault), _RIGHT), ()
    faults = [
        f"record {number}: {fault}"
        for number, request in enumerate(requests, 1)
        for fault in _request_faults(request, signatures)
    ]
    named = {request.model_spec.signature_name or SIGNATURE_PIXELS for request in requests}
    expected = {SIGNATURE_PIXELS, SIGNATURE_ENCODED} & set(signatures)
    faults += [f"no record is for {name}" for name in sorted(expected - named)]
    if len(requests) > MAX_RECORDS:
        faults.append(f"{len(requests)} records; Serving takes {MAX_RECORDS}")
    told = f"{counted(len(requests), 'record')} for {', '.join(sorted(named))}"
    return about.judged(WARMUP, faults, told, _RIGHT), () if faults else requests


def _request_faults(request: wire.PredictRequest, signatures: Mapping[str, Signature]) -> list[str]:
    """What the signature itself says against a request."""
    name = request.model_spec.signature_name or SIGNATURE_PIXELS
    if name not in signatures:
        return [f"asks for the signature {name!r}, which the model lacks"]
    wanted = signatures[name].inputs
    if set(request.inputs) != set(wanted):
        return [f"gives {name} the inputs {sorted(request.inputs)}, not {sorted(wanted)}"]
    faults = []
    for key, tensor in request.inputs.items():
        spec = wanted[key]
        shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
        told = f"{dtype_name(tensor.dtype)} {list(shape)}"
        fits = spec.shape is None or (
            len(shape) == len(spec.shape)
            and all(want in {-1, have} for have, want in zip(shape, spec.shape, strict=True))
        )
        if dtype_name(tensor.dtype) != spec.dtype or not fits:
            faults.append(f"gives {name} {told} as {key}, which is {spec}")
    return faults
