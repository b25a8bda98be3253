"""One request by hand, and whether two servers found the same boxes."""

from __future__ import annotations

import json
import urllib.request
from typing import Any, Final

from bench.bodies import Body
from bench.servers import Server

_TIMEOUT: Final = 60.0  # seconds; a model's first answer is slow
_SAME: Final = 0.03  # of the picture: decoders that reduce, or round otherwise, move a box by a pixel or two


class DifferentBoxesError(RuntimeError):
    """Two contenders do not do the same work."""


def ask(server: Server, path: str, body: Body) -> dict[str, Any]:
    """POST a body; the JSON of the answer."""
    request = urllib.request.Request(
        f"http://{server.host}:{server.port}{path}",
        data=body.path.read_bytes(),
        headers={"Content-Type": body.content_type, "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        plain: dict[str, Any] = json.load(answer)
        return plain


def boxes(answer: dict[str, Any]) -> list[tuple[str, list[float]]]:
    """Labels and normalised boxes of an answer."""
    return [(one["label"], one["box_normalized"]) for one in answer["detections"]]


def must_agree(name: str, answer: dict[str, Any], expected: dict[str, Any]) -> int:
    """Check that an answer has the boxes and the picture size of another; gives the number of boxes.

    Raises:
        DifferentBoxesError: it has not.
    """
    found, wanted = boxes(answer), boxes(expected)
    sizes = answer["image"], expected["image"]
    same = len(found) == len(wanted) and all(
        label == other and all(abs(a - b) <= _SAME for a, b in zip(box, box2, strict=True))
        for (label, box), (other, box2) in zip(found, wanted, strict=True)
    )
    if not same or sizes[0] != sizes[1]:
        raise DifferentBoxesError(f"{name} found {found} in {sizes[0]}; expected {wanted} in {sizes[1]}")
    if not found:
        raise DifferentBoxesError(f"{name} found nothing, so nothing was compared")
    return len(found)
