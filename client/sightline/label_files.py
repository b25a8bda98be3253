"""Label files: class id -> label, for models that carry no card, and for labelled data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

COCO: Final = "coco"  # in place of a path: the 80 classes of COCO under their 90 ids
_LABEL_MAP: Final = re.compile(r"\bitem\s*\{")
_TOKEN: Final = re.compile(  # of protobuf's text format
    r"""#.*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[{}]|[^\s{}"'#:,;]+"""
)
_ESCAPE: Final = re.compile(rb"\\([0-7]{1,3}|[xX][0-9a-fA-F]{1,2}|.)")  # of a quoted text
_ESCAPED: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}  # the other letters that it knows ring bells


class LabelItem(NamedTuple):
    """An item of a label map."""

    number: int
    label: str  # its `display_name`, which the Object Detection API prefers, or its `name`
    name: str  # annotations may hold either


def read_labels(source: str | Path) -> dict[int, str]:
    """Read labels from a file, or COCO's for the word `coco`.

    A file is the Object Detection API's `label_map.pbtxt`; or it has a label a line, counted from 1; or
    each line begins with the id.

    Raises:
        ValueError: the file cannot be read, or holds no labels; the text says what was found.
    """
    if source == COCO:
        return dict(_lines(resources.files("sightline").joinpath("coco_labels.txt").read_text("utf-8")))
    try:
        text = Path(source).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise ValueError(f"cannot read the labels in {source}: {fault}") from None
    try:
        labels = _each_once(_map_pairs(text) if _LABEL_MAP.search(text) else _lines(text))
    except ValueError as fault:
        raise ValueError(f"{source}: {fault}") from None
    if not labels:
        raise ValueError(f"{source} holds no labels")
    return labels


def read_label_map(text: str) -> list[LabelItem]:
    """The items of a `label_map.pbtxt` (string_int_label_map.proto).

    Raises:
        ValueError: it holds none, or one without an id or a name, or two of one id.
    """
    items = [_item(fields) for fields in _messages(text)]
    if not items:
        raise ValueError("no label map: it holds no item { id: … name: … }")
    _each_once((item.number, item.label) for item in items)
    return items


def _messages(text: str) -> Iterator[dict[str, str]]:
    """The fields of each message at the top; a message in one, such as its keypoints, is passed over."""
    depth = 0
    words: list[str] = []  # names and values in turn
    for token in _TOKEN.findall(text):
        if token.startswith("#"):
            continue
        if token == "{":  # noqa: S105  # a sign of the text, no secret
            words = [] if depth == 0 else words[:-1]
            depth += 1
        elif token == "}":  # noqa: S105
            depth -= 1
            if depth == 0:
                yield dict(zip(words[::2], words[1::2], strict=False))
        elif depth == 1:
            words.append(token)
        if depth < 0:
            break
    if depth != 0:
        raise ValueError("the label map has a brace without its other one")


def _item(fields: Mapping[str, str]) -> LabelItem:
    plain = {key: _unquoted(value) for key, value in fields.items()}
    label = plain.get("display_name") or plain.get("name")
    if not plain.get("id", "").isdecimal() or not label:
        told = " ".join(f"{key}: {value}" for key, value in fields.items())
        raise ValueError(f"an item of the label map has no id or no name: {told!r}")
    return LabelItem(int(plain["id"]), label, plain.get("name") or label)


def _unquoted(value: str) -> str:
    """A value without its quotes and escapes; protobuf's own writer escapes all that is not ASCII."""
    if value[0] not in "\"'":
        return value
    return _ESCAPE.sub(_unescaped, value[1:-1].encode()).decode(errors="replace")


def _unescaped(match: re.Match[bytes]) -> bytes:
    told = match[1]
    if told.isdigit():
        return bytes([int(told, 8) & 0xFF])
    if told[:1] in b"xX" and len(told) > 1:
        return bytes([int(told[1:], 16)])
    return _ESCAPED.get(told, told)


def _map_pairs(text: str) -> Iterator[tuple[int, str]]:
    return ((item.number, item.label) for item in read_label_map(text))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [line.split(maxsplit=1) for line in lines]
    if all(len(words) == 2 and words[0].isdecimal() for words in numbered):
        return ((int(number), label) for number, label in numbered)
    return iter(enumerate(lines, 1))


def _each_once(pairs: Iterable[tuple[int, str]]) -> dict[int, str]:
    labels: dict[int, str] = {}
    for number, label in pairs:
        if number in labels:
            raise ValueError(f"two labels have the id {number}")
        labels[number] = label
    return labels
