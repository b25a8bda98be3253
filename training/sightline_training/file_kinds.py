"""What a file is, told by its first bytes, so that a wrong one can be named as such."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file."""

    code: str
    text: str  # as an error names it


_STARTS: Final = (
    (4, b"TFL3", FileKind("tflite", "a TFLite model")),
    (0, b"\x89HDF\r\n\x1a\n", FileKind("hdf5", "an HDF5 file")),
    (0, b"\xff\xd8\xff", FileKind("picture", "a JPEG picture")),
    (0, b"\x89PNG", FileKind("picture", "a PNG picture")),
    (0, b"\x1f\x8b", FileKind("gzip", "a gzip archive; unpack it first")),
    (0, b"\x80", FileKind("pickle", "a Python pickle, as PyTorch writes")),
    (0, b"<", FileKind("xml", "XML or HTML text, perhaps a download's error page")),
)
_ZIPPED: Final = {
    ".npz": FileKind("npz", "an .npz file"),
    ".keras": FileKind("keras", "a Keras model"),
}
_SUFFIXES: Final = {
    ".pb": FileKind("graph", "a frozen TensorFlow graph or SavedModel, whose weights are not read here"),
    ".ckpt": FileKind("ckpt", "a TensorFlow checkpoint, which is not read here"),
    ".index": FileKind("ckpt", "the index of a TensorFlow checkpoint, which is not read here"),
}

# What the Object Detection API's exports and trainings leave, and ours.
_FOLDERS: Final = (
    ("saved_model.pb", _SUFFIXES[".pb"]),
    ("*/saved_model.pb", _SUFFIXES[".pb"]),
    ("frozen_inference_graph.pb", _SUFFIXES[".pb"]),
    ("*.index", _SUFFIXES[".ckpt"]),
)


def kind_of_folder(path: Path) -> FileKind | None:
    """Tell a folder of a kind that may be mistaken for a run's; None of any other."""
    return next((kind for pattern, kind in _FOLDERS if any(path.glob(pattern))), None)


def kind_of(path: Path) -> FileKind:
    """Tell a file's kind."""
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        return FileKind("empty", "an empty file")
    if head.startswith(b"PK\x03\x04"):
        return _ZIPPED.get(path.suffix, FileKind("zip", "a zip archive"))
    for offset, magic, kind in _STARTS:
        if head[offset:].startswith(magic):
            return kind
    return _SUFFIXES.get(path.suffix, FileKind("unknown", "a file of a kind that is not known here"))
