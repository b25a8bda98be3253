"""Ports, and finding out early that one is taken."""

from __future__ import annotations

import socket
from contextlib import closing


class AddressInUseError(OSError):
    """A port or socket that cannot be listened on; the text names it."""


def check_port(port: int, purpose: str) -> None:
    """Find out now whether a port is free, before any model is loaded.

    Raises:
        AddressInUseError: names the port.
    """
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - the official server listens on all interfaces
        except OSError as fault:
            raise AddressInUseError(f"port {port} for {purpose} cannot be used: {fault.strerror}") from fault
