"""TFRecord files, read without TensorFlow (tensorflow/core/lib/io/record_writer.h).

A record is its length (8 bytes), the length's checksum (4), its data, and the data's checksum (4). The
checksum is masked CRC-32C; its table of 256 numbers is written out rather than a dependency taken for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from typing import Final

_HEAD: Final = struct.Struct("<QI")
_FOOT: Final = struct.Struct("<I")
_POLYNOMIAL: Final = 0x82F63B78  # Castagnoli's, reversed
_MASK: Final = 0xA282EAD8
_WORD: Final = 0xFFFFFFFF


def records(data: bytes) -> Iterator[bytes]:
    """The records in a file's bytes.

    Raises:
        ValueError: the framing or a checksum is wrong; the message says where.
    """
    at, number = 0, 0
    while at < len(data):
        number += 1
        if at + _HEAD.size > len(data):
            raise ValueError(f"record {number} is cut short in its header, at byte {at}")
        length, checksum = _HEAD.unpack_from(data, at)
        if masked_crc(data[at : at + 8]) != checksum:
            raise ValueError(f"the checksum of record {number}'s length, at byte {at}, is wrong")
        start, end = at + _HEAD.size, at + _HEAD.size + length
        if end + _FOOT.size > len(data):
            raise ValueError(f"record {number} wants {length} bytes from byte {start}; the file ends before")
        record = data[start:end]
        if masked_crc(record) != _FOOT.unpack_from(data, end)[0]:
            raise ValueError(f"the checksum of record {number}, at byte {start}, is wrong")
        yield record
        at = end + _FOOT.size


def masked_crc(data: bytes) -> int:
    """CRC-32C, rotated and offset as TFRecord files hold it."""
    table, crc = _table(), _WORD
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= _WORD
    return ((crc >> 15 | crc << 17) + _MASK) & _WORD


@cache
def _table() -> tuple[int, ...]:
    def entry(value: int) -> int:
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        return value

    return tuple(entry(value) for value in range(256))
