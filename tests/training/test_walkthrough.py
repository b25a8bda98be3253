"""Every command on the walk-through's page exists, takes its options, and reads what one before it wrote."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from sightline.cli import main as client_cli
from sightline_training.cli import data as _data  # noqa: F401 - adds its commands
from sightline_training.cli import model as _model  # noqa: F401
from sightline_training.cli.main import cli as training_cli

PAGE = "docs/walkthrough.md"
GROUPS = {"sightline": client_cli, "sightline-train": training_cli}
# those that come from elsewhere, or have tests of their own
OTHERS = {"git", "export", "tensorboard", "sightline-model-server", "sightline-gateway"}


def commands(repository: Path) -> list[list[str]]:
    """The page's commands as words, those of `make` as what make would run."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (repository / PAGE).read_text(), re.M | re.S)
    found = []
    for line in "".join(blocks).splitlines():
        words = [word for word in shlex.split(line) if word != "&"]
        while re.match(r"[A-Z_]+=", words[0]):  # a variable for this command
            del words[0]
        found += _made(repository, words[1:]) if words[0] == "make" else [words]
    return found


def _made(repository: Path, words: list[str]) -> list[list[str]]:
    """What `make` would run, without running it or setting anything up."""
    dry = ["make", "--dry-run", "--assume-old=.venv/.installed", *words]
    done = subprocess.run(dry, cwd=repository, capture_output=True, text=True, check=True, timeout=60)
    lines = done.stdout.replace("\\\n", " ").splitlines()
    ran = [shlex.split(line) for line in lines if "sightline" in line]
    assert ran or words == ["setup"], words
    return [[Path(name).name, *arguments] for name, *arguments in ran if not name.endswith("python")]


def takes(command: click.Command, arguments: list[str]) -> None:
    """Fail if an option is unknown, lacks its value, or an argument is missing or too much."""
    context = click.Context(command)
    given, left, _ = command.make_parser(context).parse_args(list(arguments))
    assert left == []
    assert {
        item.name for item in command.params if item.required and given.get(item.name or "") is None
    } == set()
    with pytest.raises(click.NoSuchOption):
        command.make_parser(context).parse_args([*arguments, "--no-such-option"])


def test_every_command_and_option_exists(repository: Path) -> None:
    seen = set()
    for program, *arguments in commands(repository):
        if program in OTHERS:
            continue
        group, name = GROUPS[program], arguments[0]
        command = group.get_command(click.Context(group), name)
        assert command is not None, name
        takes(command, arguments[1:])
        seen.add((program, name))
    assert {name for program, name in seen if program == "sightline-train"} == {
        "inspect", "convert", "fit", "evaluate", "crossval", "export",
    }  # fmt: skip
    assert {name for program, name in seen if program == "sightline"} == {"doctor", "detect", "video"}


def test_the_steps_hand_on_what_they_make(repository: Path) -> None:
    called: dict[str, list[list[str]]] = {}
    for words in commands(repository):
        if words[0] in GROUPS:
            called.setdefault(words[1], []).append(words)

    def after(option: str, words: list[str]) -> str:
        return words[words.index(option) + 1]

    run, everything = (after("--out", words) for words in called["fit"])
    models = called["doctor"][0][2]
    (evaluated,) = called["evaluate"]
    (validated,) = called["crossval"]
    first, second = called["export"]
    assert evaluated[2] == first[2] == run
    assert second[2] == everything
    assert first[3] == second[3] == models
    assert after("--crossval", second) == after("--out", validated)
    (server,) = [words for words in commands(repository) if words[0] == "sightline-model-server"]
    assert any(word.endswith(f"/{models}") for word in server)
    (board,) = [words for words in commands(repository) if words[0] == "tensorboard"]
    assert board[-1] == f"{run}/tensorboard"


def test_the_servers_take_their_flags(repository: Path) -> None:
    from sightline_serving.model_server.flags import parse

    (server,) = [words for words in commands(repository) if words[0] == "sightline-model-server"]
    options, warnings = parse(server[1:])
    assert warnings == []
    assert options is not None


def test_whoever_searches_for_the_old_commands_finds_the_new_ones(repository: Path) -> None:
    text = (repository / PAGE).read_text()
    rows = dict(re.findall(r"^\| `(\w+\.py)`.*\| `(sightline-train \w+)` \|$", text, re.M))
    assert rows == {
        "train.py": "sightline-train fit",
        "eval.py": "sightline-train evaluate",
        "export_inference_graph.py": "sightline-train export",
    }
    assert "TensorFlow Object Detection API" in text.splitlines()[0]


@pytest.mark.parametrize("page", [PAGE, "docs/training.md", "training/README.md"])
def test_commands_of_the_training_pages_parse(repository: Path, page: str) -> None:
    text = (repository / page).read_text()
    lines = re.findall(r"^(?: {4})?(sightline-train (?:.*\\\n)*.*)", text, re.M)
    assert lines
    for line in lines:
        _, name, *arguments = shlex.split(line.replace("\\\n", " "))
        command = training_cli.get_command(click.Context(training_cli), name)
        assert command is not None, line
        takes(command, arguments)
