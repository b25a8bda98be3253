"""How many videos are worked on at once, and how many bytes of videos lie on the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sightline.errors import OverloadedError


class VideoRooms:
    """Bounds the videos of one worker. Safe to share between threads.

    A video takes its room once it is there as a whole, so that who sends slowly keeps nobody else out. Until
    then it is bounded by its bytes: all videos together, those that come and those that are worked on, have
    the disk that as many as there are rooms may fill.

    Args:
        rooms: videos that are worked on at once.
        largest: bytes of a video.
    """

    def __init__(self, rooms: int, largest: int) -> None:
        self._rooms = rooms
        self._disk = rooms * largest
        self._taken = self._bytes = 0
        self._lock = threading.Lock()

    def check(self) -> None:
        """Find out before a long body is read that there is no room.

        Raises:
            OverloadedError: all are taken.
        """
        if self._taken >= self._rooms:
            raise OverloadedError(f"{self._rooms} videos are worked on in this worker; try again")

    @contextmanager
    def room(self) -> Iterator[None]:
        """Have a room for as long as the block lasts.

        Raises:
            OverloadedError: all are taken.
        """
        with self._lock:
            self.check()
            self._taken += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1

    @contextmanager
    def disk(self) -> Iterator[Callable[[int], None]]:
        """Have a share of the disk for as long as the block lasts; a call makes it larger by so many bytes.

        Raises:
            OverloadedError: by the call; there are not as many left.
        """
        share = 0

        def grow(count: int) -> None:
            nonlocal share
            with self._lock:
                if self._bytes + count > self._disk:
                    raise OverloadedError(
                        "too many bytes of videos are on their way to this worker; try again"
                    )
                self._bytes += count
            share += count

        try:
            yield grow
        finally:
            with self._lock:
                self._bytes -= share
