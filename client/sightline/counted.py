"""Numbers of things, as a sentence has them."""

from __future__ import annotations


def counted(number: int, one: str, several: str = "") -> str:
    """`1 picture`, `2 pictures`; `several` where an s does not make it."""
    return f"{number} {one if number == 1 else several or one + 's'}"
