"""The HTTP server under the REST API.

waitress: pure Python, no dependencies, well kept; it reads and writes slow clients without holding a thread
for them, keeps connections alive, and needs no more CPU for it than the others that were tried.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from waitress.server import create_server

from sightline_serving.model_server.addresses import AddressInUseError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

MAX_BODY: Final = 2**31 - 1  # bytes; the official server has no limit of its own
_FLUSH_S: Final = 0.01  # seconds between two looks whether all answers are sent
_LOOP_S: Final = 1  # whole seconds that the loop sleeps at most, and so notices that it is to end


class RestServer:
    """A WSGI server with a pool of threads, on one port of all interfaces."""

    def __init__(self, application: WSGIApplication, port: int, threads: int) -> None:
        """Bind, without serving yet.

        Raises:
            AddressInUseError: the port is taken.
        """
        # It warns when all threads are busy, which here is the operator's choice.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        try:
            # One host makes one socket, and so no MultiSocketServer, whatever the annotations say.
            self._server: Any = create_server(
                application,
                host="0.0.0.0",  # noqa: S104 - as the official server
                port=port,
                threads=threads,
                max_request_body_size=MAX_BODY,
                asyncore_loop_timeout=_LOOP_S,
                ident="",
            )
        except OSError as fault:
            raise AddressInUseError(f"cannot listen for REST on port {port}: {fault.strerror}") from fault
        self._thread = threading.Thread(target=self._run, name="rest", daemon=True)

    def start(self) -> None:
        """Serve."""
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # its sockets close under it when it is stopped
            self._server.run()

    def stop(self, grace: float) -> None:
        """Take no more connections, let requests in progress end within `grace` seconds, and close."""
        deadline = time.monotonic() + grace
        self._server.accepting = False
        self._server.task_dispatcher.shutdown(cancel_pending=False, timeout=math.ceil(grace))
        while self._is_sending() and time.monotonic() < deadline:
            time.sleep(_FLUSH_S)
        self._server.close()
        for channel in list(self._server.active_channels.values()):  # kept alive by their clients
            channel.close()

    def _is_sending(self) -> bool:
        channels = list(self._server.active_channels.values())
        return any(channel.total_outbufs_len for channel in channels)
