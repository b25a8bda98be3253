"""`sightline-model-server`: TensorFlow Serving's binary, where that one cannot be had."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import metadata
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from sightline.grpc_waiting import wait_in_place
from sightline.held_stderr import held_stderr
from sightline_serving.model_server.flags import PROGRAM, FlagError, HelpRequested, parse, usage
from sightline_serving.model_server.options import Options
from sightline_serving.scheduling import wake_in_turn
from sightline_serving.signals import heed_in_any_thread

if TYPE_CHECKING:
    from sightline_serving.model_server.server import ModelServer

EXIT_FAILED = 255  # the official binary returns -1

log = logging.getLogger(PROGRAM)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code unless it came to serve, when it ends the process itself."""
    try:
        options, warnings = parse(sys.argv[1:] if arguments is None else arguments)
    except HelpRequested:
        print(usage())
        return 0
    except FlagError as fault:
        print(f"{fault}\n{PROGRAM} --help lists all flags.", file=sys.stderr)
        return EXIT_FAILED
    if options.version:
        print(f"TensorFlow ModelServer: sightline {metadata.version('sightline-serving')}")
        print(f"TensorFlow Library: {metadata.version('tensorflow')}")
        return 0
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname).1s %(name)s: %(message)s"
    )
    for warning in warnings:
        log.warning("%s", warning)
    return _leave(_serve(options))


def _serve(options: Options) -> int:
    """Run the server until SIGTERM or SIGINT; the exit code."""
    asked_to_stop = threading.Event()
    server: ModelServer | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        asked_to_stop.set()
        if server is not None:
            server.interrupt()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    wait_in_place()
    wake_in_turn()  # before the first thread, as each takes after the one that starts it
    heed_in_any_thread()
    # Heavy: TensorFlow. `--help` and a mistyped flag need not wait for it, and a signal may come meanwhile.
    with held_stderr():  # its greetings come before it heeds any log level
        from sightline_serving.model_server.server import ModelServer as Server
    from sightline_serving.model_server.addresses import AddressInUseError
    from sightline_serving.model_server.memory import keep_for_requests
    from sightline_serving.model_server.status import StatusError

    keep_for_requests()
    try:
        server = Server(options)
        if not asked_to_stop.is_set():
            server.start()
    except (StatusError, AddressInUseError) as fault:
        print(f"Failed to start server. Error: {fault}", file=sys.stderr)
        return EXIT_FAILED
    asked_to_stop.wait()
    log.info("Draining")
    server.stop()
    log.info("Stopped")
    return 0


def _leave(code: int) -> NoReturn:
    """End the process now: Python would wait for threads, and so for a call that outlived its grace."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
