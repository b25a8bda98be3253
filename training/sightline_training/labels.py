"""Class names and their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from sightline.contract import FIRST_CLASS_ID
from sightline.errors import InputError
from sightline.label_files import read_label_map

_BACKGROUND: Final = (0, "background")


@dataclass(frozen=True)
class LabelMap:
    """The classes of a detector in the order of their ids, which count from 1 (0 is the background)."""

    names: tuple[str, ...]
    also: Mapping[str, str] = field(default_factory=dict, compare=False)  # other name of a class -> its name
    # number -> name, where the file that the map comes from leaves numbers out; records may hold those
    numbers: Mapping[int, str] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.names:
            raise InputError("a label map names at least one class")
        if len(set(self.names)) != len(self.names):
            raise InputError(f"a label map names each class once, not {', '.join(self.names)}")

    @classmethod
    def from_ids(cls, names: Mapping[int, str]) -> LabelMap:
        """Make one of id -> name; the ids must run from 1 without a gap.

        Raises:
            InputError: they do not.
        """
        wanted = list(range(FIRST_CLASS_ID, FIRST_CLASS_ID + len(names)))
        if sorted(names) != wanted:
            raise InputError(f"class ids must run from {FIRST_CLASS_ID} without a gap, not {sorted(names)}")
        return cls(tuple(names[number] for number in wanted))

    @classmethod
    def of(cls, labels: Iterable[str]) -> LabelMap:
        """The map of these labels in alphabetical order, for data that comes without one."""
        return cls(tuple(sorted(set(labels))))

    @property
    def by_id(self) -> dict[int, str]:
        """Class id -> name, as the model card holds it."""
        return dict(enumerate(self.names, FIRST_CLASS_ID))

    @property
    def by_number(self) -> Mapping[int, str]:
        """Class name by the number that the map's own file gives it."""
        return self.by_id if self.numbers is None else self.numbers

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {name: number for number, name in self.by_id.items()}

    def id_of(self, name: str) -> int:
        """The id of a class.

        Raises:
            InputError: the map lacks it.
        """
        try:
            return self._ids[name]
        except KeyError:
            known = ", ".join(self.names)
            raise InputError(f"the label map lacks the class {name!r}; it has {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def to_pbtxt(labels: LabelMap) -> str:
    """The map as the Object Detection API's `label_map.pbtxt` (string_int_label_map.proto)."""
    items = (
        f"item {{\n  id: {number}\n  name: {_quoted(name)}\n}}\n" for number, name in labels.by_id.items()
    )
    return "".join(items)


def _quoted(name: str) -> str:
    """A name as protobuf's text format has it; in the quote that needs no escape, where one does."""
    quote = '"' if "'" in name else "'"
    escaped = (
        name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace(quote, f"\\{quote}")
    )
    return f"{quote}{escaped}{quote}"


def from_pbtxt(text: str) -> LabelMap:
    """The inverse of `to_pbtxt`; a `display_name` is preferred to a `name`, as the API prefers it.

    Annotations may hold either. Ids that leave a gap, as COCO's own do, are closed up in their order. An
    item 0 is the API's background, which is no class here.

    Raises:
        InputError: the text is no label map, or an id comes twice or is 0.
    """
    try:
        items = [item for item in read_label_map(text) if (item.number, item.name) != _BACKGROUND]
    except ValueError as fault:
        raise InputError(str(fault)) from None
    numbers = {item.number: item.label for item in sorted(items, key=lambda item: item.number)}
    if min(numbers, default=FIRST_CLASS_ID) < FIRST_CLASS_ID:
        raise InputError(f"class ids count from {FIRST_CLASS_ID}; 0 is {numbers[0]!r}, and the background's")
    labels = LabelMap(
        tuple(numbers.values()), also={item.name: item.label for item in items if item.name != item.label}
    )
    return labels if numbers == labels.by_id else replace(labels, numbers=numbers)
