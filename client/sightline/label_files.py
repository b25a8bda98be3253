"""Label files: class id -> label, for models that carry no card."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Final

COCO: Final = "coco"  # in place of a path: the 80 classes of COCO under their 90 ids
_ITEM: Final = re.compile(r"item\s*\{(.*?)\}", re.DOTALL)  # of a label_map.pbtxt
_ID: Final = re.compile(r"\bid\s*:\s*(\d+)")
_NAMES: Final = (re.compile(r"display_name\s*:\s*[\"'](.*?)[\"']"), re.compile(r"name\s*:\s*[\"'](.*?)[\"']"))


def read_labels(source: str | Path) -> dict[int, str]:
    """Read labels from a file, or COCO's for the word `coco`.

    A file is the Object Detection API's `label_map.pbtxt`; or it has a label a line, counted from 1; or
    each line begins with the id.

    Raises:
        ValueError: the file cannot be read, or holds no labels; the text says what was found.
    """
    if source == COCO:
        return _from_lines(
            resources.files("sightline").joinpath("coco_labels.txt").read_text(encoding="utf-8")
        )
    try:
        text = Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise ValueError(f"cannot read the labels in {source}: {fault}") from None
    labels = _from_label_map(text) if _ITEM.search(text) else _from_lines(text)
    if not labels:
        raise ValueError(f"{source} holds no labels")
    return labels


def _from_label_map(text: str) -> dict[int, str]:
    labels = {}
    for item in _ITEM.findall(text):
        number = _ID.search(item)
        name = next((found for pattern in _NAMES if (found := pattern.search(item))), None)
        if number is None or name is None:
            raise ValueError(f"an item of the label map lacks id or name: {item.strip()}")
        labels[int(number[1])] = name[1]
    return labels


def _from_lines(text: str) -> dict[int, str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [line.split(maxsplit=1) for line in lines]
    if all(len(words) == 2 and words[0].isdigit() for words in numbered):
        return {int(number): label for number, label in numbered}
    return dict(enumerate(lines, 1))
