"""Format, size and orientation of an encoded image, read from its header without decoding a pixel.

Small readers of our own, because the limits must hold before a decoder is let near the bytes, and
because asking a general library costs more than the whole check (Pillow: 60 us; this: 3 us).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from sightline.errors import NotAnImageError, TruncatedImageError

FORMATS: Final = "JPEG, PNG, WebP, BMP, GIF"

_OTHERS: Final[Mapping[bytes, str]] = {  # how they begin
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"<svg": "SVG",
}
_FTYP: Final[Mapping[bytes, str]] = dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"), "HEIC"
) | dict.fromkeys((b"avif", b"avis"), "AVIF")

_MATROSKA: Final = b"\x1aE\xdf\xa3"  # WebM's too
_JPEG_START: Final = b"\xff\xd8\xff"
_JPEG_END: Final = b"\xff\xd9"
_SOS: Final = 0xDA  # start of scan: the header ends here
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
_SIZE_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..15 but DHT, JPG, DAC
_EXIF: Final = 0xE1
_PASSED: Final = frozenset(range(0xC0, 0xFF)) - _STANDALONE - _SIZE_MARKERS - {_SOS, _EXIF}  # by their length
_SEGMENT: Final = struct.Struct(">BBH")  # 0xFF, marker, length
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})  # of the size markers
# A scan costs a pass over all pixels and may be ten bytes long. The usual encoders write ten.
_MAX_SCANS: Final = 64
_SCAN: Final = b"\xff\xda"
_SIZE: Final = struct.Struct(">HH")  # height, width
_ORIENTATION_TAG: Final = 0x0112
_OS2: Final = 12  # bytes of the information header of OS/2's BMP, whose sides are 16-bit
SIDEWAYS: Final = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height


class ImageHeader(NamedTuple):
    """What the first bytes of an image say of it."""

    format: str  # one of FORMATS
    width: int  # pixels, as stored
    height: int  # pixels, as stored
    orientation: int = 1  # EXIF, 1 to 8; read for JPEG only

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) once the EXIF orientation is applied."""
        return (self.height, self.width) if self.orientation in SIDEWAYS else (self.width, self.height)


def read_header(data: bytes) -> ImageHeader:
    """Read the header of an encoded image.

    Raises:
        NotAnImageError: the bytes begin as none of FORMATS, or a JPEG has scans without end.
        TruncatedImageError: they end inside the header, or before the format's end mark.
    """
    try:
        if data.startswith(_JPEG_START):
            header = _read_jpeg(data)
        elif data.startswith(b"\x89PNG\r\n\x1a\n"):
            header = _read_png(data)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            header = _read_webp(data)
        elif data[:6] in (b"GIF87a", b"GIF89a"):
            header = ImageHeader("GIF", *struct.unpack_from("<HH", data, 6))
        elif data.startswith(b"BM") and len(data) > 26:
            header = _read_bmp(data)
        else:
            raise NotAnImageError(f"the {len(data)} bytes sent are {_instead(data)}; send one of {FORMATS}")
    except (struct.error, IndexError):
        raise TruncatedImageError(f"the image ends inside its header, after {len(data)} bytes") from None
    if header.width <= 0 or header.height <= 0:
        raise TruncatedImageError(f"the {header.format} header gives no size")
    return header


def _instead(data: bytes) -> str:
    """What the bytes are instead of a picture that is read."""
    starts = (name for start, name in _OTHERS.items() if data.startswith(start))
    base = data[4:8] == b"ftyp"  # of pictures and films alike
    other = _FTYP.get(data[8:12]) if base else next(starts, None)
    if other is not None:
        return f"a picture in {other}, which is not read"
    if base or data.startswith(_MATROSKA) or (data[:4] == b"RIFF" and data[8:12] == b"AVI "):
        return "a film, for which there are `:detectVideo` and `sightline video`"
    return "no image"


def _read_jpeg(data: bytes) -> ImageHeader:
    """Walk the marker segments up to the scan (ITU T.81, annex B)."""
    size: tuple[int, int] | None = None
    orientation = 1
    frame, components = 0, 0
    at = 2
    unpack, passed = _SEGMENT.unpack_from, _PASSED
    while True:
        begin, marker, length = unpack(data, at)
        if begin != 0xFF:
            raise TruncatedImageError(f"the JPEG header is damaged at byte {at}")
        if marker in passed:  # most are
            at += 2 + length
            continue
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _STANDALONE:
            at += 2
            continue
        if marker in _SIZE_MARKERS:
            height, width = _SIZE.unpack_from(data, at + 5)
            size = (width, height)
            frame, components = marker, data[at + 9]
        elif marker == _EXIF and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _exif_orientation(data[at + 10 : at + 2 + length])
        elif marker == _SOS:
            break
        at += 2 + length
    # A decoder fills what is missing with grey and says nothing; the end mark says it. Looked for
    # from the scan on, because a thumbnail in the EXIF block has an end mark of its own.
    if data.rfind(_JPEG_END, at) < 0:
        raise TruncatedImageError(f"the JPEG ends without its end mark, after {len(data)} bytes")
    if size is None:
        raise TruncatedImageError("the JPEG header gives no size before its first scan")
    if frame in _PROGRESSIVE or data[at + 4] < components:  # else the first scan holds everything
        scans = data.count(_SCAN, at)
        if scans > _MAX_SCANS:
            raise NotAnImageError(f"the JPEG has {scans} scans; at most {_MAX_SCANS} are decoded")
    return ImageHeader("JPEG", *size, orientation)


def _exif_orientation(tiff: bytes) -> int:
    """The orientation in an EXIF block, or 1 where it is missing or unreadable (EXIF 2.32, 4.6)."""
    try:
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(count):
            tag, _kind, _n, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return int(value) if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1


def _read_png(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from(">II", data, 16)
    if data.rfind(b"IEND") < 0:
        raise TruncatedImageError(f"the PNG ends without its end chunk, after {len(data)} bytes")
    return ImageHeader("PNG", width, height)


def _read_webp(data: bytes) -> ImageHeader:
    (announced,) = struct.unpack_from("<I", data, 4)
    kind = data[12:16]
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    if len(data) < announced + 8:
        raise TruncatedImageError(f"the WebP announces {announced + 8} bytes and ends after {len(data)}")
    return ImageHeader("WebP", width, height)


def _read_bmp(data: bytes) -> ImageHeader:
    (announced,) = struct.unpack_from("<I", data, 2)
    (length,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if length == _OS2 else "<ii", data, 18)
    if len(data) < announced:
        raise TruncatedImageError(f"the BMP announces {announced} bytes and ends after {len(data)}")
    return ImageHeader("BMP", width, abs(height))  # a negative height means that rows run downwards
