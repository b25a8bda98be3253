"""What the client's pages say is so."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from support.fake_serving import FakeServing, FakeVersion, fake_serving
from support.running_gateway import running_gateway
from support.videos import write_video

from sightline.cli import main
from sightline.cli.exits import Exit
from sightline.images import encode_jpeg

PAGES = ["docs/client.md", "docs/video.md", "docs/batch.md", "client/README.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServing]:
    with fake_serving({"droids": {1: FakeVersion(), 3: FakeVersion()}}) as running:
        yield running


@pytest.fixture(scope="module")
def url(server: FakeServing) -> Iterator[str]:
    with running_gateway(server.target) as address:
        yield address


@pytest.mark.parametrize("page", PAGES)
def test_the_python_runs(page: str, repository: Path, url: str, server: FakeServing, tmp_path: Path) -> None:
    for name in ("photo.jpg", "one.jpg", "two.jpg"):
        (tmp_path / name).write_bytes(encode_jpeg(np.full((90, 120, 3), 200, np.uint8)))
    found = blocks(repository / page, "python")
    assert found or page == "docs/batch.md"
    if "film.mp4" in "".join(found):
        write_video(tmp_path / "film.mp4", 10)
    for block in found:
        script = block.replace("http://127.0.0.1:8080", url).replace("127.0.0.1:8500", server.target)
        subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60, cwd=tmp_path)


@pytest.mark.parametrize("page", PAGES[:3])
def test_every_command_and_option_exists(page: str, repository: Path) -> None:
    lines = [line for block in blocks(repository / page, "sh") for line in block.splitlines()]
    called = [shlex.split(line, comments=True) for line in lines if line.startswith("sightline ")]
    assert called
    context = click.Context(main)
    for _, name, *arguments in called:
        command = main.get_command(context, name)
        assert command is not None, name
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("--")} <= known


def test_the_table_of_exit_codes_is_complete(repository: Path) -> None:
    rows = re.findall(r"^\| (\d+) \|", (repository / "docs/client.md").read_text(), re.MULTILINE)
    assert [int(code) for code in rows] == sorted(Exit)
