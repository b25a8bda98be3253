"""The pictures a caller may hand over: a path, bytes, an array, a PIL image or an open file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias, Union, cast

import numpy as np
from numpy.typing import NDArray

from sightline.errors import InputError, NoImageError, NotAnImageError

if TYPE_CHECKING:
    import PIL.Image

# A `str` is a path. An array is RGB uint8 [h, w, 3], or grey uint8 [h, w], upright.
ImageInput: TypeAlias = Union[
    str, "os.PathLike[str]", bytes, bytearray, memoryview, NDArray[np.uint8], BinaryIO, "PIL.Image.Image"
]

# Files with these suffixes are pictures where a folder is searched; what they hold decides in the end.
PICTURE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+]+:/")  # of the web or a store; a drive has one letter


def load(image: ImageInput) -> bytes | NDArray[np.uint8]:
    """Encoded bytes as they are, or upright RGB pixels uint8 [h, w, 3], whichever the input holds.

    Raises:
        NoImageError: there is no readable file at the path, or the array is empty.
        NotAnImageError: the array is of another shape or dtype, or the object of another kind.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return read_file(Path(image))
    if isinstance(image, np.ndarray):
        return _checked(image)
    if hasattr(image, "read"):
        return _from_file(cast(BinaryIO, image))
    if hasattr(image, "getexif"):  # PIL.Image.Image, told without importing PIL
        return _from_pil(image)
    raise NotAnImageError(
        f"a {type(image).__name__} is no picture; give a path, bytes, an array, a PIL image or an open file"
    )


def several(images: object) -> list[Any]:
    """The pictures of a list, or of anything else that gives them one after the other.

    Raises:
        InputError: it is one picture, whose letters or rows would be taken for pictures.
    """
    if type(images) is list:
        return images
    one = isinstance(images, str | os.PathLike | bytes | bytearray | memoryview) or hasattr(images, "read")
    rows = isinstance(images, np.ndarray) and (images.ndim < 3 or images.shape[2:] == (3,))
    if one or rows or not isinstance(images, Iterable):
        raise InputError(
            f"detect_many takes a list of pictures, not a {type(images).__name__}; detect takes one"
        )
    return list(images)


def read_file(path: Path) -> bytes:
    """The bytes of a picture's file.

    Raises:
        NoImageError: there is no readable file.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if _ADDRESS.match(str(path)):
            address = str(path).replace(":/", "://", 1)  # of whose slashes a path keeps one
            raise NoImageError(f"{address} is an address, not a file; fetch it and give its bytes") from None
        raise NoImageError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise NoImageError(f"{path} is a folder; name the pictures in it") from None
    except OSError as fault:
        raise NoImageError(f"{path} cannot be read: {fault.strerror}") from None
    except ValueError:  # a zero byte
        raise NoImageError(f"{str(path)!r} is the name of no file") from None


def _from_file(file: BinaryIO) -> bytes:
    try:
        content: object = file.read()
    except UnicodeDecodeError:
        content = ""  # a picture that was opened as text
    except (OSError, ValueError) as fault:  # such as one that is closed
        raise NoImageError(f"the file cannot be read: {fault}") from None
    if not isinstance(content, bytes):
        raise NotAnImageError('the file was opened as text; open it with "rb"')
    return content


def _checked(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8:
        raise NotAnImageError(f"an array of {pixels.dtype} is no picture; wanted is uint8, 0 to 255, RGB")
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, np.newaxis], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise NotAnImageError(
            f"an array of shape {pixels.shape} is no picture; wanted is [h, w, 3] or [h, w]"
        )
    if pixels.size == 0:
        raise NoImageError(f"the array is empty: {pixels.shape}")
    return pixels


def _from_pil(image: PIL.Image.Image) -> NDArray[np.uint8]:
    from PIL import ImageOps

    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
