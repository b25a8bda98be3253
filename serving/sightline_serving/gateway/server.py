"""The processes: granian, its workers, and what they share."""

from __future__ import annotations

import logging
import logging.config
import os
import shutil
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

from flask import Flask
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from sightline.allocator import keep_large_blocks
from sightline.grpc_waiting import wait_in_place
from sightline_serving.gateway import logs
from sightline_serving.gateway.ending import STOP_TIMEOUT, Ending
from sightline_serving.gateway.listening import shown
from sightline_serving.gateway.settings import METRICS_FOLDER_VARIABLE, Settings
from sightline_serving.scheduling import wake_in_turn
from sightline_serving.signals import heed_in_any_thread

log = logging.getLogger("sightline.gateway")
SPARE_THREADS: Final = 4  # per worker, beyond the requests let in: for refusals, health and metrics
_ENDING: Final = (signal.SIGTERM, signal.SIGINT)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; what is in flight then is finished."""
    folder = tempfile.mkdtemp(prefix="sightline-metrics-")
    os.environ[METRICS_FOLDER_VARIABLE] = folder
    wait_in_place()
    wake_in_turn()
    # Imported here: after the variables are set, as prometheus_client and grpc look for them at import; and
    # before the fork, so that the workers share the memory and need not import again.
    import sightline_serving.gateway.app  # noqa: F401

    logging.config.dictConfig(logs.configuration(settings.log_level))
    server = Server(
        "sightline",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=settings.max_in_flight + SPARE_THREADS,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_TIMEOUT,
        log_dictconfig=logs.configuration(settings.log_level),
        log_level=LogLevels.info if settings.log_level == "debug" else LogLevels.error,
        websockets=False,
    )
    heed_in_any_thread()
    os.register_at_fork(  # told in between, a worker hears it when it can heed it
        before=partial(signal.pthread_sigmask, signal.SIG_BLOCK, _ENDING),
        after_in_parent=partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, _ENDING),
        after_in_child=_end_when_told,
    )
    log.info("listening on http://%s, asking %s", shown(settings.host, settings.port), settings.serving)
    try:
        server.serve(target_loader=partial(_work, settings), wrap_loader=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end_when_told() -> None:
    """Of a worker that does not serve yet: granian has it heed signals once it does.

    Until then it would have its parent's way of heeding them, which ends nothing here; so a gateway that is
    stopped as it starts would take STOP_TIMEOUT for it.
    """
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def _work(settings: Settings) -> Flask:
    """In each worker, after the fork."""
    from sightline_serving.gateway.app import create_app

    ending = Ending()
    heed_in_any_thread(lambda number: ending.tell() if number in _ENDING else None)
    _silence_codecs()
    keep_large_blocks()
    logs.spare_records()
    logging.config.dictConfig(logs.configuration(settings.log_level))
    return create_app(settings, ending=ending)


def _silence_codecs() -> None:
    """Keep what libjpeg and libpng say of broken pictures out of the log.

    They write to the descriptor itself and cannot be asked to stop, so it leads nowhere from here on, and
    Python's own standard error goes by a copy of it.
    """
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
