"""Where a Serving is, in the ways that gRPC takes, seen before gRPC would look for it in vain."""

from __future__ import annotations

import re
from typing import Final

from sightline.contract import is_utf8

LAST_PORT: Final = 65535
_PLACE: Final = re.compile(r"(?:[^\s:/,\[\]]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})")
_DNS: Final = re.compile(r"dns:(?://[^/]*/)?(.*)")  # perhaps with the server that is asked for the name
_LISTS: Final = ("ipv4:", "ipv6:")
_WITHOUT_PORTS: Final = ("unix:", "unix-abstract:", "xds:")


def check_serving_address(address: str) -> str:
    """The address as it is.

    Raises:
        ValueError: gRPC could make nothing of it, or would ask a port that nobody meant.
    """
    if address.startswith(_WITHOUT_PORTS):
        sound = bool(address.partition(":")[2].strip("/"))
    elif address.startswith(_LISTS):
        sound = all(map(_is_place, address[len(_LISTS[0]) :].split(",")))
    else:
        dns = _DNS.fullmatch(address)
        sound = _is_place(dns[1] if dns else address)
    if not sound or not is_utf8(address):
        raise ValueError(
            "the address of a Serving is host:port, dns:///name:port, ipv4:a:port,b:port or unix:PATH, "
            f"not {address!r}"
        )
    return address


def _is_place(text: str) -> bool:
    found = _PLACE.fullmatch(text)
    return found is not None and 0 < int(found[1]) <= LAST_PORT
