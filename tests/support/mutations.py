"""Files made wrong in all the ways that files go wrong, from a seed."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator, Sequence


def mutated(originals: Sequence[bytes], count: int, *, seed: int = 0) -> Iterator[bytes]:
    """So many damaged files: bits flipped, cut short, doubled, spliced, sizes changed."""
    chance = random.Random(seed)
    for number in range(count):
        data = bytearray(chance.choice(originals))
        (_flip, _cut, _splice, _repeat, _set_numbers, _zero)[number % 6](data, originals, chance)
        yield bytes(data)


def _flip(data: bytearray, originals: Sequence[bytes], chance: random.Random) -> None:
    for _ in range(chance.choice((1, 3, 30, 300))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _cut(data: bytearray, originals: Sequence[bytes], chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def _splice(data: bytearray, originals: Sequence[bytes], chance: random.Random) -> None:
    """The head of one and the tail of another: a polyglot."""
    other = chance.choice(originals)
    data[chance.randrange(len(data)) :] = other[chance.randrange(len(other)) :]


def _repeat(data: bytearray, originals: Sequence[bytes], chance: random.Random) -> None:
    at, size = chance.randrange(len(data)), chance.randrange(1, 400)
    data[at:at] = data[at : at + size] * chance.choice((1, 5))


def _set_numbers(data: bytearray, originals: Sequence[bytes], chance: random.Random) -> None:
    """Lengths and sizes near the begin become extreme."""
    at = chance.randrange(min(200, max(1, len(data) - 4)))
    extreme = chance.choice((0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
    data[at : at + 4] = struct.pack(chance.choice("<>") + "I", extreme)


def _zero(data: bytearray, originals: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data))
    data[at : at + chance.randrange(1, 500)] = bytes(chance.randrange(1, 500))


def png_bomb(side: int) -> bytes:
    """A PNG of side x side black pixels, a thousandth of its decoded size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    row = bytes(1 + side)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
