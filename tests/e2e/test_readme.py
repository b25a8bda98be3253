"""What the README says, run as a new user runs it: a fresh clone, `make demo`, then its own blocks."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.model_servers import free_ports

DEMO_SECONDS = 900  # set-up, data, training and export on a busy machine


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def test_the_links_of_every_page_lead_somewhere(repository: Path) -> None:
    asked = ["git", "-C", str(repository), "ls-files", "*.md"]
    pages = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    assert "README.md" in pages
    for page in (repository / name for name in pages):
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page} links to {target}"


@pytest.fixture(scope="module")
def clone(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of what is committed, with nothing else in it."""
    folder = tmp_path_factory.mktemp("fresh") / "sightline"
    subprocess.run(["git", "clone", "--quiet", str(repository), str(folder)], check=True)
    return folder


class Demo:
    """`make demo` in a clone, on free ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gateway, self.grpc, self.rest = free_ports(3)
        ports = f"--gateway-port {self.gateway} --grpc-port {self.grpc} --rest-port {self.rest}"
        self.flags = f"DEMO_FLAGS={ports}"
        self.log = folder / "demo.log"

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            return subprocess.Popen(
                ["make", "demo", self.flags, *more],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, words: str, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + DEMO_SECONDS
        while words not in self.output:
            assert process.poll() is None, f"the demo ended with {process.returncode}:\n{self.output}"
            assert time.monotonic() < deadline, f"no {words!r} within {DEMO_SECONDS} s:\n{self.output}"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def demo(clone: Path) -> Iterator[Demo]:
    """A demo that serves; interrupted as by Ctrl-C at the end, which must leave nothing behind."""
    running = Demo(clone)
    process = running.start()
    try:
        running.wait_for("Ctrl-C", process)
        yield running
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
        for port in (running.gateway, running.grpc, running.rest):
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0, f"something still listens on {port}"


@pytest.mark.slow
@pytest.mark.timeout(DEMO_SECONDS + 60)
def test_the_demo_finds_its_droid_and_the_readmes_blocks_work(demo: Demo, repository: Path) -> None:
    ap50 = re.search(r"AP50\D+([01]\.\d+)", demo.output)
    assert ap50 is not None, demo.output
    assert float(ap50[1]) >= 0.9
    assert (demo.folder / "build/demo/found.jpg").stat().st_size > 1000

    readme = (repository / "README.md").read_text().replace(":8080", f":{demo.gateway}")
    environment = {**os.environ, "PATH": f"{demo.folder / '.venv/bin'}:{os.environ['PATH']}"}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=demo.folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    shell = [block for block in blocks(readme, "sh") if "make" not in block]
    assert len(shell) == 2
    for block in shell:
        assert re.search(r"R2-D2|BB-8", run("bash", "-ec", block))
    (python,) = blocks(readme, "python")
    assert re.search(r"^(R2-D2|BB-8) 0\.\d+ Box\(", run("python", "-W", "error", "-c", python), re.M)
    assert list((demo.folder / "build/demo/drawn").glob("*.jpg"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ports_in_use_are_named_before_anything_is_made(demo: Demo) -> None:
    done = subprocess.run(
        ["make", "demo", demo.flags, "ONCE=1"], cwd=demo.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert f"{demo.gateway} (gateway)" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_second_demo_reuses_the_model(demo: Demo) -> None:
    again = Demo(demo.folder)
    again.log = demo.folder / "again.log"
    before = (demo.folder / "build/demo/models/droids/1/saved_model.pb").stat().st_mtime_ns
    process = again.start("ONCE=1")
    assert process.wait(240) == 0, again.output
    assert (demo.folder / "build/demo/models/droids/1/saved_model.pb").stat().st_mtime_ns == before
