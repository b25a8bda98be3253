"""Recipes: those that come with the package, and one with a mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sightline.errors import InputError
from sightline_training.cli import model as _model  # noqa: F401 - adds its commands
from sightline_training.cli.main import cli
from sightline_training.presets import load_preset, preset_names
from sightline_training.run import FitOptions


def test_presets_are_read_and_their_heads_tell_command_time_and_score() -> None:
    import sightline_training

    folder = Path(sightline_training.__file__).parent / "preset_files"
    assert {"demo", "droids"} <= set(preset_names())
    for name in preset_names():
        assert load_preset(name).fit.steps > 0
        head = (folder / f"{name}.toml").read_text().split("[")[0]
        assert all(f"#   {word}" in head for word in ("command", "time", "expect"))


def test_a_preset_with_an_unknown_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[fit]\nstep = 3\n")
    with pytest.raises(InputError, match="unknown fields: step"):
        load_preset(str(path))
    with pytest.raises(InputError, match="there is no preset 'other'"):
        load_preset("other")
    with pytest.raises(InputError, match="evaluate_every"):
        FitOptions(checkpoint_every=50, evaluate_every=70)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('steps = "many"', "has steps = 'many'; wanted is a whole number"),
        ("steps = 12.5", "has steps = 12.5; wanted is a whole number"),
        ("steps = true", "has steps = True; wanted is a whole number"),
        ('learning_rate = "5e-4"', "has learning_rate = '5e-4'; wanted is a number"),
        ("learning_rate = -1", "learning_rate is -1; it must be more than 0"),
        ("learning_rate = nan", "learning_rate is nan; it must be more than 0"),
        ("steps = 0", "steps is 0; it must be at least 1"),
        ('[network]\nsize = "300"', "has size = '300'; wanted is a whole number"),
        ("[network]\nmultiplier = 0", "multiplier is 0; it must be more than 0"),
        ('[augmentation]\nzoom_out = "x"', "has zoom_out = 'x'; wanted is a number"),
        ("[augmentation]\nfarthest = -3", "farthest is -3; it must be at least 1"),
        ("seed = -1", "seed is -1; it must be at least 0 and at most 4294967295"),
        ("seed = 4294967296", "seed is 4294967296; it must be at least 0 and at most 4294967295"),
        ("[augmentation]\ncontrast = 5", "contrast is 5; it must be at least 0 and at most 1"),
    ],
)
def test_a_preset_with_a_wrong_value_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"[fit]\n{line}\n")
    with pytest.raises(InputError) as fault:
        load_preset(str(path))
    assert said in fault.value.detail
    assert str(path) in fault.value.detail


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"network = 3", "has network = 3; wanted is a table [network]"),
        (b"fit = 'quick'", "has fit = 'quick'; wanted is a table [fit]"),
        (b"steps = 10", "has steps outside the tables [network], [fit], [augmentation]"),
        (b"[fit]\nsteps = ", "is no TOML: "),
        ("# F\u00fc\u00dfe".encode("latin-1"), "is no UTF-8 text (byte 3); save it as UTF-8"),
    ],
)
def test_a_preset_that_is_no_recipe_is_named(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text)
    with pytest.raises(InputError) as fault:
        load_preset(str(path))
    assert said in fault.value.detail
    assert str(path) in fault.value.detail


def test_a_preset_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[fit]\nsteps = 7\n", encoding="utf-8-sig")
    assert load_preset(str(path)).fit.steps == 7


def test_a_wrong_recipe_or_folder_is_told_before_the_pictures_are_read(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    unread = ["fit", "--data", str(tmp_path / "missing"), "--out"]
    for asked, said in (
        ([str(tmp_path / "new"), "--preset", "other"], "there is no preset 'other'"),
        ([str(tmp_path / "new"), "--weights", str(tmp_path / "none.npz")], "there are no weights"),
        ([str(tmp_path / "run")], "holds a run already"),
    ):
        fault = CliRunner().invoke(cli, [*unread, *asked]).exception
        assert isinstance(fault, InputError)
        assert said in fault.detail
