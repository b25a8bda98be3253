"""The real gateway on a real port, in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from sightline.detector import Serving
from sightline_serving.gateway.app import create_app
from sightline_serving.gateway.settings import Settings


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections alive, as a production server does

    def log(self, type: str, message: str, *args: Any) -> None:
        pass  # a test's output is the test's


@contextmanager
def running_gateway(target: str, *, model: str = "droids", **settings: Any) -> Iterator[str]:
    """A gateway in front of the Serving at `target`; gives its URL."""
    with Serving(target, model=model, timeout=5) as detector:
        app = create_app(Settings(model=model, serving=target, **settings), detector)
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
