"""How a worker that is told to end brings what it is at to its end."""

from __future__ import annotations

import time
from typing import Final

STOP_TIMEOUT: Final = 30  # seconds that a worker has to finish what is in flight; then it is killed
_LAST_WORDS: Final = 5  # seconds before that by which an answer that goes on, as a film's, has to say so


class Ending:
    """Whether answers that go on have to stop, as their worker was told to end. Threads may share it.

    Args:
        patience: seconds that they may still go on once it was told.
    """

    def __init__(self, patience: float = STOP_TIMEOUT - _LAST_WORDS) -> None:
        self._patience = patience
        self._by: float | None = None  # the monotonic clock's

    def tell(self) -> None:
        """The worker was told to end; the first time counts."""
        if self._by is None:
            self._by = time.monotonic() + self._patience

    @property
    def over(self) -> bool:
        """Whether their time is over."""
        return self._by is not None and time.monotonic() >= self._by
