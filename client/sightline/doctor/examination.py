"""The examination as a whole: what is looked at, in which order, and what rests on what."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sightline.contract import SIGNATURE_CARD, ModelCard, ModelRef
from sightline.doctor.card_checks import (
    CARD,
    CARD_ANSWERS,
    THRESHOLDS,
    check_card,
    check_card_answers,
    parse_card,
    unreadable_card,
)
from sightline.doctor.folders import VersionFolder, versions_in
from sightline.doctor.golden_pictures import GoldenPicture, check_golden
from sightline.doctor.local_server import HOW_TO_GET, find_command, serve
from sightline.doctor.probe import Probe
from sightline.doctor.results import CheckResult, Outcome, Subject
from sightline.doctor.saved_model import VARIABLES, SavedModel, check_saved_model
from sightline.doctor.served_checks import (
    SERVED_CHECKS,
    Known,
    check_served,
)
from sightline.doctor.signature_checks import (
    INPUT,
    OUTPUTS,
    answers_are_readable,
    check_signatures,
    input_size,
)
from sightline.doctor.warmup_checks import check_warmup
from sightline.errors import InvalidOptionError, ModelNotFoundError, SightlineError, UnavailableError
from sightline.signatures import Signature
from sightline.tf_serving import ServingStub
from sightline.wire import serving_pb2 as wire

SERVES: Final = "serves"
DEFAULT_TIMEOUT: Final = 60.0  # seconds for a request; the first one makes TensorFlow compile the graph


@dataclass(frozen=True, slots=True)
class Runner:
    """Who runs the model: a server that is there, or one to start, or nobody."""

    serving: str | None = None  # host:port
    model: ModelRef | None = None  # as that server knows it
    command: str | None = None  # of a server to start; None starts none
    timeout: float = DEFAULT_TIMEOUT  # seconds


def examine(
    folder: Path | None = None,
    *,
    serving: str | None = None,
    model: str | ModelRef | None = None,
    start_server: bool = True,
    timeout: float = DEFAULT_TIMEOUT,
) -> tuple[CheckResult, ...]:
    """Check a folder, a live server, or the one with the help of the other.

    Args:
        folder: `MODELS`, `MODELS/NAME` or `MODELS/NAME/VERSION`.
        serving: `host:port` of a server; with a folder, the server that runs its model.
        model: its name there.
        start_server: without `serving`, run the model by `sightline-model-server` if that is installed.
        timeout: seconds for a request.

    Raises:
        InvalidOptionError: there is nothing to examine, or no such folder.
        UnavailableError: the server that was named cannot be reached.
    """
    return tuple(
        examination(folder, serving=serving, model=model, start_server=start_server, timeout=timeout)
    )


def examination(
    folder: Path | None = None,
    *,
    serving: str | None = None,
    model: str | ModelRef | None = None,
    start_server: bool = True,
    timeout: float = DEFAULT_TIMEOUT,
) -> Iterator[CheckResult]:
    """As `examine`, each result as soon as it is known."""
    ref = ModelRef(model) if isinstance(model, str) else model
    if serving is not None and ref is None:
        raise InvalidOptionError("a server is examined one model at a time; name it (--model NAME)")
    command = find_command() if start_server and serving is None else None
    who = Runner(serving, ref, command, timeout)
    if folder is None:
        if ref is None:
            raise InvalidOptionError("name a folder to examine, or a server and a model")
        yield from _live(who, ref)
        return
    if not folder.exists():
        raise InvalidOptionError(f"there is no {folder}; name MODELS, MODELS/NAME or MODELS/NAME/VERSION")
    for found in versions_in(folder.resolve()):  # of `.`, too, the model has a name
        if isinstance(found, CheckResult):
            yield found
        else:
            yield from _version(found, who)


def _version(folder: VersionFolder, who: Runner) -> Iterator[CheckResult]:
    """One version folder: what its files say, then what it does when it runs."""
    saved, sound = None, True
    for result in check_saved_model(folder):
        if isinstance(result, SavedModel):
            saved = result
        else:
            sound = sound and result.outcome is Outcome.PASS
            yield result
    signatures = saved.signatures if saved else {}
    size = input_size(signatures)
    warmup, requests = check_warmup(folder, signatures) if saved else (None, ())
    golden, pictures = check_golden(folder, size)
    yield from (result for result in (warmup, golden) if result is not None)
    about = folder.subject
    if saved is None:
        return
    yield from check_signatures(signatures, about)
    with ExitStack() as stack:
        stub: ServingStub | None = None
        ref = who.model or ModelRef(folder.name, folder.version)
        try:
            if not sound:
                yield about.skipped(SERVES, f"see {VARIABLES}")
            elif who.serving is not None or who.command is not None:
                target = who.serving or stack.enter_context(serve(folder, who.command or ""))
                stub = stack.enter_context(ServingStub(target, timeout=who.timeout))
                told = stub.metadata(ref)[0]
                yield _loads(told, signatures, ref, about)
            else:
                yield about.skipped(SERVES, "nothing here runs the model", HOW_TO_GET)
        except (UnavailableError, ModelNotFoundError) as fault:
            if who.serving is not None and isinstance(fault, UnavailableError):
                raise
            stub = None
            yield about.failed(SERVES, fault.detail, "a version that TensorFlow Serving loads")
        yield from _run(stub, ref, signatures, about, written=saved.card, extra=(pictures, requests))


def _loads(
    told: Mapping[str, Signature], saved: Mapping[str, Signature], ref: ModelRef, about: Subject
) -> CheckResult:
    if dict(told) == dict(saved):
        return about.passed(SERVES, f"loaded as Serving loads it; {ref} answers")
    return about.failed(SERVES, f"{ref} on the server has other signatures", "a server that runs this folder")


def _live(who: Runner, ref: ModelRef) -> Iterator[CheckResult]:
    """A model on a server, without its folder."""
    about = Subject(f"{ref} at {who.serving}")
    with ServingStub(who.serving or "", timeout=who.timeout) as stub:
        try:
            signatures, version = stub.metadata(ref)
        except ModelNotFoundError as fault:
            yield about.failed(
                SERVES, fault.detail + _states(stub, ref), "a model that the server has loaded"
            )
            return
        yield about.passed(SERVES, f"version {version} of {ref.name} is available")
        # From here on that very version, whatever the server loads meanwhile.
        pinned = ModelRef(ref.name, version)
        yield from check_signatures(signatures, about)
        yield from _run(stub, pinned, signatures, about)


def _states(stub: ServingStub, ref: ModelRef) -> str:
    """What became of the versions, for the message about a model that does not answer."""
    try:
        states = stub.status(ModelRef(ref.name))
    except SightlineError:
        return ""
    return "; " + ", ".join(f"version {one.version}: {one.state} {one.error}".rstrip() for one in states)


def _run(
    stub: ServingStub | None,
    ref: ModelRef,
    signatures: Mapping[str, Signature],
    about: Subject,
    *,
    written: str | None = None,
    extra: tuple[Sequence[GoldenPicture], Sequence[wire.PredictRequest]] | None = None,
) -> Iterator[CheckResult]:
    """The card, then what only a running model tells.

    Args:
        stub: None where nothing runs it.
        ref: the model there.
        signatures: its.
        about: whom it is about.
        written: the card's text as the folder holds it.
        extra: golden pictures and warm-up requests; None without a folder.
    """
    size = input_size(signatures)
    text: str | bytes | None = written
    if SIGNATURE_CARD not in signatures:
        yield from (about.skipped(check, "see signatures") for check in (CARD, THRESHOLDS))
        card = None
    else:
        if stub is not None:
            result, said = check_card_answers(Probe(stub, ref, signatures), about)
            text = said if said is not None else text
            yield result
        card = yield from _card(text, size, about)
    if stub is None:
        missing = (*((CARD_ANSWERS,) if SIGNATURE_CARD in signatures else ()), *SERVED_CHECKS)
        yield from (about.skipped(check, f"see {SERVES}") for check in missing)
    elif not answers_are_readable(signatures):
        yield from (about.skipped(check, f"see {INPUT} and {OUTPUTS}") for check in SERVED_CHECKS)
    else:
        pictures, requests = extra or ((), ())
        known = Known(card, pictures, requests, extra is not None)
        yield from check_served(Probe(stub, ref, signatures), size, known, about)


def _card(
    text: str | bytes | None, size: tuple[int, int] | None, about: Subject
) -> Generator[CheckResult, None, ModelCard | None]:
    if text is None:
        yield about.skipped(CARD, "the graph makes it only when it runs")
        return None
    try:
        card = parse_card(text)
    except ValueError as fault:
        yield unreadable_card(fault, about)
        yield about.skipped(THRESHOLDS, f"see {CARD}")
        return None
    yield from check_card(card, size, about)
    return card
