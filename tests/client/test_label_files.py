from __future__ import annotations

from pathlib import Path

import pytest

from sightline.label_files import read_labels


def test_coco_comes_with_the_package() -> None:
    labels = read_labels("coco")
    assert (len(labels), labels[1], labels[90], 12 in labels) == (80, "person", "toothbrush", False)


@pytest.mark.parametrize(
    "text",
    [
        "BB-8\nR2-D2\n",
        "2 R2-D2\n\n1 BB-8",
        'item { id: 1\n name: \'BB-8\' }\nitem {\n  name: "x" id: 2 display_name: "R2-D2"\n}',
    ],
)
def test_each_form_of_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "labels"
    file.write_text(text)
    assert read_labels(file) == {1: "BB-8", 2: "R2-D2"}


def test_a_file_that_holds_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read the labels in .*absent"):
        read_labels(tmp_path / "absent")
    empty = tmp_path / "empty"
    empty.write_text("\n")
    with pytest.raises(ValueError, match="holds no labels"):
        read_labels(empty)
    empty.write_text("item { id: 3 }")
    with pytest.raises(ValueError, match="lacks id or name"):
        read_labels(empty)
