"""Recipes: those that come with the package, and one with a mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import InputError
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
