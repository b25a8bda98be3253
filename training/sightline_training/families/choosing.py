"""From what a preset, a run or a network says to its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from sightline.errors import InputError
from sightline_training.families.family import Described, Family
from sightline_training.families.hub import D_FINE, RETINANET, HubArchitecture
from sightline_training.families.ssd import Ssd
from sightline_training.model import Architecture

SSD: Final = "ssd"


def family_of(architecture: Described) -> Family:
    """The kind of a network."""
    if isinstance(architecture, HubArchitecture):
        return _HUB[architecture.family](architecture)
    return Ssd(cast(Architecture, architecture))


def architecture_from_json(plain: Mapping[str, Any]) -> Described:
    """The inverse of `dataclasses.asdict`.

    Raises:
        TypeError, ValueError: it is none of an architecture.
    """
    if "family" not in plain:
        return Architecture(**plain)
    if plain["family"] not in _HUB:
        raise ValueError(f"there is no kind of network {plain['family']!r}")
    return HubArchitecture(**plain)


def architecture_for(
    family: str, classes: int, size: int, multiplier: float | None, start: Any = None
) -> Described:
    """The network that a preset asks for.

    Args:
        family: of the preset.
        classes: of the labels.
        size: pixels, both sides.
        multiplier: width of an SSD without starting weights.
        start: weights to start from; what they say of their network wins over the preset.

    Raises:
        InputError: the weights are of another kind of network, or are missing where they describe it.
    """
    known = (SSD, *_HUB)
    if family not in known:
        raise InputError(f"there is no kind of network {family!r}; there are {', '.join(known)}")
    if start is None and family != SSD:
        raise InputError(
            f"a {family} is begun from a folder of KerasHub's, which describes it: name it as weights"
        )
    if start is not None and start.family != family:
        raise InputError(
            f"{start.source} holds weights of a {start.family}, and the preset trains a {family}; "
            "name a preset of that kind"
        )
    wanted = Architecture(classes, size, size, multiplier or 1.0)
    return wanted if start is None else cast(Described, start.fit(wanted))


def _retinanet(architecture: HubArchitecture) -> Family:
    from sightline_training.families.retinanet import RetinaNet

    return RetinaNet(architecture)


def _d_fine(architecture: HubArchitecture) -> Family:
    from sightline_training.families.d_fine import DFine

    return DFine(architecture)


_HUB: Final[dict[str, Callable[[HubArchitecture], Family]]] = {RETINANET: _retinanet, D_FINE: _d_fine}
