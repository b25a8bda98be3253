"""What a server's processes have used: CPU time and memory, children included."""

from __future__ import annotations

from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Memory:
    """Of all processes of a tree together."""

    proportional: int  # bytes; a page that n processes share counts 1/n in each, so the sum is real
    largest: int  # bytes, resident, of the largest process


class ProcessTree:
    """A process and all its descendants, as they are at each look.

    CPU time is what the kernel has charged to them, user and system, in seconds; the resolution is a
    clock tick (10 ms), so measure over seconds. A child that ended in between still counts, once its
    parent has waited for it.
    """

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def cpu_seconds(self) -> float:
        """Since each process began."""
        total = 0.0
        for process in self._members():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
            total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return total

    def memory(self) -> Memory:
        """Now. Where the kernel does not tell shared pages apart (macOS), resident sizes are added."""
        proportional, largest = 0, 0
        for process in self._members():
            try:
                full = process.memory_full_info()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            proportional += getattr(full, "pss", full.rss)
            largest = max(largest, full.rss)
        return Memory(proportional, largest)

    def count(self) -> int:
        """How many processes there are."""
        return len(self._members())

    def _members(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
