"""The address to listen on, tried before the workers try it.

Their sockets share a port, even with another gateway's.
"""

from __future__ import annotations

import errno
import socket

from sightline_serving.gateway.settings import SettingsError, variable


class PortTakenError(OSError):
    """Somebody listens there already, or it is not for us."""


def shown(host: str, port: int) -> str:
    """As it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check(host: str, port: int) -> None:
    """Find out whether we can listen there.

    Raises:
        PortTakenError: another port may do.
        SettingsError: the address is none of this machine's.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as fault:
        words = fault.strerror or str(fault)
        if fault.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EPERM):
            raise SettingsError(
                f"{variable('host')} is {host!r}: {words}; write an address of this machine, or 0.0.0.0"
            ) from None
        raise PortTakenError(
            f"cannot listen on {shown(host, port)}: {words}; set {variable('port')} to a free port"
        ) from None
