"""Learns the models before a caller asks for them: signatures and card take Serving up to a second, once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import Final

from sightline.catalog import Catalog
from sightline.contract import ModelRef
from sightline.errors import SightlineError

PATIENCE: Final = 10.0  # seconds for one model; its first run in Serving may be slow
PAUSE: Final = 1.0  # seconds between rounds while Serving, or a model there, is not to be had
log = logging.getLogger(__name__)


def make(catalog: Catalog, models: Iterable[ModelRef]) -> threading.Thread:
    """Learn these models in the background, trying until each is known.

    A request in the meantime learns what it needs by itself.
    """
    thread = threading.Thread(target=_learn, args=(catalog, list(models)), name="acquaintance", daemon=True)
    thread.start()
    return thread


def _learn(catalog: Catalog, models: list[ModelRef]) -> None:
    while models := [model for model in models if not _known(catalog, model)]:
        time.sleep(PAUSE)


def _known(catalog: Catalog, model: ModelRef) -> bool:
    try:
        catalog.current(model, timeout=PATIENCE)
    except SightlineError as fault:
        log.debug("%s is not known yet: %s", model, fault)
        return False
    return True
