"""The model card: can it be read, and does it fit the model it travels with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from sightline.contract import FIRST_CLASS_ID, SIGNATURE_CARD, ModelCard
from sightline.counted import counted
from sightline.doctor.probe import Probe
from sightline.doctor.results import CheckResult, Subject
from sightline.errors import SightlineError, UnavailableError

CARD: Final = "card"
CARD_ANSWERS: Final = "card-answers"
THRESHOLDS: Final = "thresholds"
_RIGHT: Final = "JSON with name, labels, input_height and input_width (sightline.contract.ModelCard)"


def parse_card(text: str | bytes) -> ModelCard:
    """The card in a text.

    Raises:
        ValueError: it is no card; the message says why.
    """
    try:
        plain = json.loads(text)
    except ValueError as fault:
        start = text[:40] if isinstance(text, str) else text[:40].decode(errors="replace")
        raise ValueError(f"the card is no JSON ({fault}); it begins {start!r}") from fault
    if not isinstance(plain, dict):
        raise ValueError(f"the card is a JSON {type(plain).__name__}, not an object")
    return ModelCard.from_dict(plain)


def unreadable_card(fault: ValueError, about: Subject) -> CheckResult:
    """The line for a card that `parse_card` refuses."""
    return about.failed(CARD, str(fault), _RIGHT)


def check_card(card: ModelCard, size: tuple[int, int] | None, about: Subject) -> Iterator[CheckResult]:
    """Labels, input size and thresholds.

    Args:
        card: of the model.
        size: (height, width) of its input; None where the signature fixes none.
        about: whom it is about.
    """
    faults = [] if card.labels else ["the card names no class"]
    low = sorted(key for key in card.labels if key < FIRST_CLASS_ID)
    if low:
        faults.append(f"class {low[0]} is named, and {FIRST_CLASS_ID} is the first (0 is the background)")
    faults += [f"class {key} has an empty label" for key, label in card.labels.items() if not label.strip()]
    twice = sorted({label for label in card.labels.values() if list(card.labels.values()).count(label) > 1})
    faults += [f"{label!r} is the label of several classes" for label in twice]
    if size is not None and (card.input_height, card.input_width) != size:
        faults.append(
            f"the card says {card.input_height} x {card.input_width} pixels, "
            f"the signature {size[0]} x {size[1]}"
        )
    found = f"{counted(len(card.labels), 'class', 'classes')}: {', '.join(list(card.labels.values())[:5])}"
    yield about.judged(CARD, faults, found, "a card written by the export that it is in")
    faults = [
        f"class {key} has {score:g}" for key, score in card.thresholds.items() if not 0 <= score <= 1
    ] + [
        f"class {key} has a threshold and no label" for key in sorted(set(card.thresholds) - set(card.labels))
    ]
    told = ", ".join(f"{key}: {score:g}" for key, score in card.thresholds.items()) or "none; 0.5 applies"
    yield about.judged(THRESHOLDS, faults, told, "scores from 0 to 1 for classes that the card names")


def check_card_answers(probe: Probe, about: Subject) -> tuple[CheckResult, bytes | None]:
    """Ask for the card twice in one request; also give its text."""
    wanted = "the card's text, repeated as often as it is asked for (tf.fill of the query's shape)"
    try:
        texts = probe.cards(2)
    except UnavailableError:
        raise
    except SightlineError as fault:
        return about.failed(CARD_ANSWERS, fault.detail, wanted), None
    except (KeyError, IndexError) as fault:
        return about.failed(CARD_ANSWERS, f"{SIGNATURE_CARD} gives no {fault}", wanted), None
    if len(texts) != 2 or len(set(texts)) != 1:
        told = f"asked for 2 cards, {SIGNATURE_CARD} gives {len(texts)}: Serving's batching cannot split it"
        return about.failed(CARD_ANSWERS, told, wanted), texts[0] if texts else None
    return about.passed(CARD_ANSWERS, "as often as it is asked for"), texts[0]
