"""How many calls are under way at once, as many as the server takes."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

_REGAINED: Final = 0.1  # of a call, by an answer


class Turns:
    """Lets calls begin one after the other; of one event loop at a time.

    A call that the server is too busy for makes the limit one lower than were under way, and each answer
    makes it a little higher again, up to `most`.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.under_way = 0

    async def take(self, *, again: bool = False) -> None:
        """Wait for a turn, behind those who wait already; before them, if it is not the first."""
        if self.under_way < int(self._limit) and (again or not self._waiting):
            self.under_way += 1
            return
        turn = asyncio.get_running_loop().create_future()
        if again:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came, and nobody is there to use it
                self._over()
            raise

    def answered(self) -> None:
        """The call has come to its end, whichever."""
        self._limit = min(self._limit + _REGAINED, self._most)
        self._over()

    def refused(self) -> None:
        """The server was too busy for the call."""
        self._limit = max(min(self._limit, self.under_way) - 1, 1.0)
        self._over()

    def _over(self) -> None:
        self.under_way -= 1
        while self._waiting and self.under_way < int(self._limit):
            turn = self._waiting.popleft()
            if not turn.done():  # else its call was cancelled
                self.under_way += 1
                turn.set_result(None)
