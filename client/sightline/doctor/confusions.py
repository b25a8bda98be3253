"""Why a model gives other boxes than it gave at export: the confusions that exports are known for.

Each is tried out: if the boxes fit once it is undone, it is the one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sightline.doctor.agreement import SAME, agreement, comparable
from sightline.doctor.box_arrays import BoxArrays
from sightline.doctor.golden_pictures import GoldenPicture
from sightline.doctor.probe import Probe

Pixels = NDArray[Any]  # [H, W, 3]
_HALF: Final = 127.5
_GREY: Final = 128
_WHITE: Final = 255
_NEARER: Final = 0.05  # agreement that a coarse undoing must gain to be told

# what the model takes the pixels for -> how they must be sent to fit that
_ORDER: Final[dict[str, Callable[[Pixels], Pixels]]] = {
    "RGB": lambda pixels: pixels,
    "BGR": lambda pixels: pixels[..., ::-1],
}
_RANGES: Final[dict[str, Callable[[Pixels], Pixels]]] = {
    "0 to 255": lambda pixels: pixels,
    "0 to 1": lambda pixels: pixels / _WHITE,
    "-1 to 1": lambda pixels: pixels / _HALF - 1,
}


def fit(pictures: Sequence[GoldenPicture], found: Sequence[BoxArrays]) -> float:
    """How well answers fit the golden boxes: the mean agreement over pictures with boxes, 0 to 1."""
    pairs = zip(pictures, found, strict=True)
    return float(np.mean([agreement(one.expected, two) for one, two in pairs if comparable(one.expected)]))


def name_confusion(probe: Probe, pictures: Sequence[GoldenPicture], found: Sequence[BoxArrays]) -> str:
    """The confusion that explains the answers, as a sentence; empty if none of those known does."""
    for sentence, undone in _readings(found):
        if fit(pictures, undone) >= SAME:
            return sentence
    pixels = [picture.pixels for picture in pictures]
    for sentence, send in _sendings(probe):
        if fit(pictures, probe.alone([send(picture) for picture in pixels])) >= SAME:
            return sentence
    if probe.dtype == np.uint8:
        return _wrong_range(probe, pictures, found)
    return ""


def _readings(found: Sequence[BoxArrays]) -> Iterator[tuple[str, list[BoxArrays]]]:
    """Other ways to read what the model said."""
    yield (
        "the boxes are xmin ymin xmax ymax, and not ymin xmin ymax xmax",
        [one._replace(boxes=one.boxes[:, [1, 0, 3, 2]]) for one in found],
    )
    for shift, told in ((1, "one too low: class ids begin at 0"), (-1, "one too high: class ids begin at 2")):
        yield f"the classes are {told}", [one._replace(classes=one.classes + shift) for one in found]


def _sendings(probe: Probe) -> Iterator[tuple[str, Callable[[Pixels], Pixels]]]:
    """Other ways to send the pixels, exact ones."""
    ranges = ["0 to 255"] if probe.dtype == np.uint8 else list(_RANGES)
    for range_ in ranges:
        for order in _ORDER:
            if (range_, order) != ("0 to 255", "RGB"):
                told = f"{order} pixels" + ("" if range_ == "0 to 255" else f" from {range_}")
                yield f"the model takes {told}, and not RGB from 0 to 255", _sending(range_, order)


def _sending(range_: str, order: str) -> Callable[[Pixels], Pixels]:
    return lambda pixels: _RANGES[range_](_ORDER[order](pixels.astype(np.float32)))


def _wrong_range(probe: Probe, pictures: Sequence[GoldenPicture], found: Sequence[BoxArrays]) -> str:
    """Confusions of range inside the graph, which whole numbers can undo roughly at best."""
    plain = [np.full_like(pictures[0].pixels, level) for level in (_GREY, _WHITE)]
    alike = [*found, *probe.alone(plain)]
    if min(agreement(alike[0], one) for one in alike[1:]) >= SAME:
        return (
            "every picture is answered alike, and as plain grey is: the graph scales the pixels down "
            "(to 0 to 1, say) for a network that scales them itself, or the weights are missing"
        )
    # A network that wants 0 to 1 and is given 0 to 255 sees a posterised picture where 0 and 1 are sent.
    straight = fit(pictures, found)
    two_tone = fit(pictures, probe.alone([picture.pixels >= _HALF for picture in pictures]))
    if two_tone >= straight + _NEARER:
        return (
            "perhaps the network wants 0 to 1 and the graph hands it 0 to 255: the boxes fit better "
            f"(agreement {two_tone:.2f}) when 0 and 1 are sent for dark and light"
        )
    return ""
