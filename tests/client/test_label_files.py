from __future__ import annotations

from pathlib import Path

import pytest

from sightline.label_files import read_label_map, read_labels


def test_coco_comes_with_the_package() -> None:
    labels = read_labels("coco")
    assert (len(labels), labels[1], labels[90], 12 in labels) == (80, "person", "toothbrush", False)


@pytest.mark.parametrize(
    "text",
    [
        "BB-8\nR2-D2\n",
        "2 R2-D2\n\n1 BB-8",
        'item { id: 1\n name: \'BB-8\' }\nitem {\n  name: "x" id: 2 display_name: "R2-D2"\n}',
        "# item { id: 3 name: 'old' }\nitem { id: 1, name: 'BB-8' # the {first}\n}\n"
        "item { keypoints { id: 7 label: 'eye' } id: 2; name: 'R2-D2' }",
        "\ufeffBB-8\r\nR2-D2",
    ],
)
def test_each_form_of_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "labels"
    file.write_text(text, encoding="utf-8")
    assert read_labels(file) == {1: "BB-8", 2: "R2-D2"}


def test_a_file_that_holds_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read the labels in .*absent"):
        read_labels(tmp_path / "absent")
    empty = tmp_path / "empty"
    empty.write_text("\n")
    with pytest.raises(ValueError, match="holds no labels"):
        read_labels(empty)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("item { id: 3 }", "no id or no name: 'id: 3'"),
        ("item { name: 'BB-8' }", "no id or no name"),
        ("item { id: 1 name: 'BB-8' } item { id: 1 name: 'R2-D2' }", "two labels have the id 1"),
        ("1 BB-8\n1 R2-D2", "two labels have the id 1"),
        ("item { id: 1 name: 'BB-8'", "a brace without its other one"),
        ("item { id: 1 name: 'BB-8' } }", "a brace without its other one"),
    ],
)
def test_a_file_that_cannot_be_meant_is_named_with_what_is_wrong(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "labels"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"labels: .*{says}"):
        read_labels(file)


def test_braces_and_signs_may_stand_in_a_name() -> None:
    (item,) = read_label_map("item { id: 1 name: 'n1' display_name: \"{the} #1: it's\" }")
    assert item == (1, "{the} #1: it's", "n1")
