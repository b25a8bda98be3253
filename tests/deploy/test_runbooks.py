"""The commands in the runbooks and the deployment guide have options that exist, and those that they need."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support.manifests import REPOSITORY

from sightline.cli import main

PAGES = [*sorted((REPOSITORY / "docs/runbooks").glob("*.md")), REPOSITORY / "docs/deploy.md"]
# What is about the whole cluster, or whose files name the namespace.
EVERYWHERE = {"apply", "diff", "kustomize", "config", "cluster-info"}


def _commands(page: Path, name: str) -> Iterator[list[str]]:
    """Those with arguments, in backquotes or in a block of their own."""
    text = page.read_text()
    found = re.findall(rf"`({name} [^`]+)`", text) + re.findall(rf"^ {{4,}}({name} .+)$", text, re.MULTILINE)
    for line in found:
        for part in re.split(r" && | \| ", line):
            words = shlex.split(part, comments=True)
            if words[0] == name and len(words) > 2:
                yield words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_command_line_has_the_options_and_gets_those_it_needs(page: Path) -> None:
    context = click.Context(main)
    for _, name, *arguments in _commands(page, "sightline"):
        command = main.get_command(context, name)
        assert command is not None, name
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        given = {word for word in arguments if word.startswith("--")}
        assert given <= {option for parameter in options for option in parameter.opts}
        for parameter in options:
            assert not parameter.required or given & set(parameter.opts), f"{name} needs {parameter.opts[0]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_kubectl_is_told_the_namespace(page: Path) -> None:
    for words in _commands(page, "kubectl"):
        if words[1] not in EVERYWHERE and words[1:3] != ["create", "namespace"]:
            assert words[1:3] == ["-n", "sightline"], " ".join(words)
