"""The group of commands, and the small ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.fake_serving import FakeServing, FakeVersion, fake_serving
from support.running_gateway import running_gateway

from sightline.cli import exits, main
from sightline.cli.exits import Exit
from sightline.cli.main import _COMMANDS
from sightline.images import encode_jpeg

COMMANDS = ["detect", "video", "stream", "batch", "models", "doctor", "bench", "completion"]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServing]:
    with fake_serving() as running:
        yield running


@pytest.fixture(scope="module")
def url(server: FakeServing) -> Iterator[str]:
    with running_gateway(server.target) as address:
        yield address


def test_help_names_every_command_and_exit_code() -> None:
    told = CliRunner().invoke(main, ["--help"]).output
    assert list(_COMMANDS) == COMMANDS
    assert all(f"\n  {name} " in told for name in COMMANDS)
    assert all(f" {code.value} " in told and f"{code.value} " in (exits.__doc__ or "") for code in Exit)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_a_first_sentence(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == Exit.OK, result.output
    assert ". " in result.output or ".\n" in result.output


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["detekt"])
    assert (result.exit_code, "detekt" in result.output) == (Exit.USAGE, True)


def test_help_loads_neither_opencv_nor_grpc_nor_httpx() -> None:
    script = (
        "import sys; from sightline.cli import main; main(['--help'], standalone_mode=False);"
        "print([name for name in ('cv2', 'grpc', 'httpx', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_the_command(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == Exit.OK
    assert f"_SIGHTLINE_COMPLETE={shell}_complete" in result.output


def test_a_shell_completes_commands_and_options() -> None:
    environment = {
        **os.environ,
        "_SIGHTLINE_COMPLETE": "bash_complete",
        "COMP_WORDS": "sightline bat",
        "COMP_CWORD": "1",
    }
    command = [sys.executable, "-m", "sightline.cli"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["plain,batch"]
    environment |= {"COMP_WORDS": "sightline detect --thr", "COMP_CWORD": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["plain,--threshold"]


def test_models_lists_them_over_both_ways(url: str, server: FakeServing) -> None:
    over_http = CliRunner().invoke(main, ["models", "--gateway", url])
    over_grpc = CliRunner().invoke(main, ["models", "--serving", server.target, "--model", "droids"])
    assert over_http.output == over_grpc.output == "droids (default)\t1\tAVAILABLE\n"
    as_json = CliRunner().invoke(main, ["models", "--gateway", url, "--json"])
    assert json.loads(as_json.output)["versions"] == [{"version": 1, "state": "AVAILABLE", "error": ""}]


def test_models_shows_a_card(url: str, server: FakeServing) -> None:
    for way in (["--gateway", url], ["--serving", server.target, "--model", "droids"]):
        card = json.loads(CliRunner().invoke(main, ["models", "--card", *way]).output)
        assert card["labels"] == {"1": "BB-8", "2": "R2-D2"}


def test_a_model_without_a_card_says_so() -> None:
    signatures = {"serving_default": FakeVersion().signatures["serving_default"]}
    with fake_serving({"droids": {1: FakeVersion(signatures=signatures, card=None)}}) as server:
        way = ["--serving", server.target, "--model", "droids"]
        result = CliRunner().invoke(main, ["models", "--card", *way])
        assert (result.exit_code, result.stdout) == (Exit.REFUSED, "")


def test_a_model_that_is_not_there_is_refused(server: FakeServing) -> None:
    result = CliRunner().invoke(main, ["models", "--serving", server.target, "--model", "nomodel"])
    assert result.exit_code == Exit.REFUSED


def test_models_names_one_alone_where_it_is_asked_for(url: str) -> None:
    assert CliRunner().invoke(main, ["models", "--gateway", url, "--model", "droids"]).exit_code == Exit.OK
    result = CliRunner().invoke(main, ["models", "--gateway", url, "--model", "nomodel"])
    assert (result.exit_code, result.stdout) == (Exit.REFUSED, "")
    assert "lists no model 'nomodel'; it lists droids" in result.stderr


def test_models_shows_the_version_or_the_label_that_is_asked_for() -> None:
    versions = {1: FakeVersion(labels=("stable",)), 2: FakeVersion()}
    with fake_serving({"droids": versions}) as server, running_gateway(server.target) as url:
        for way in (["--gateway", url], ["--serving", server.target]):
            for ref, number in (("versions/2", 2), ("labels/stable", 1)):
                told = CliRunner().invoke(main, ["models", *way, "--model", f"droids/{ref}"])
                assert told.output == f"droids (default)\t{number}\tAVAILABLE\n"
            for ref in ("versions/9", "labels/gone"):
                told = CliRunner().invoke(main, ["models", *way, "--model", f"droids/{ref}"])
                assert (told.exit_code, told.stdout) == (Exit.REFUSED, "")


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8500", "", "host", "host:http", ":1", "h:65536", "a\udcff:1"]
)
@pytest.mark.parametrize("command", ["models", "doctor"])
def test_an_address_that_is_no_servings_is_a_usage_error(command: str, address: str) -> None:
    result = CliRunner().invoke(main, [command, "--serving", address, "--model", "droids"])
    assert (result.exit_code, "--serving" in result.stderr) == (Exit.USAGE, True)


@pytest.mark.parametrize("command", [["detect"], ["batch", "--out", "job"]])
def test_an_empty_name_is_not_taken_for_this_folder(command: list[str]) -> None:
    result = CliRunner().invoke(main, [*command, ""])
    assert (result.exit_code, "is empty" in result.stderr) == (Exit.USAGE, True)


def test_a_command_that_nobody_listens_to_does_its_work(url: str) -> None:
    way = f"{sys.executable} -m sightline.cli models --gateway {url} >&- 2>&-"
    assert subprocess.run(way, shell=True, check=False, timeout=60).returncode == Exit.OK
    way = f"{sys.executable} -m sightline.cli bench --gateway {url} --seconds 0.1 --warm-up 0 >&- 2>&-"
    assert subprocess.run(way, shell=True, check=False, timeout=60).returncode == Exit.OK


def test_labels_of_a_model_without_a_card_come_from_a_file(tmp_path: Path) -> None:
    signatures = {"serving_default": FakeVersion().signatures["serving_default"]}
    (tmp_path / "labels.txt").write_text("ball\ncan\n")
    (tmp_path / "photo.jpg").write_bytes(encode_jpeg(np.full((90, 120, 3), 20, np.uint8)))
    with fake_serving({"droids": {1: FakeVersion(signatures=signatures, card=None)}}) as server:
        way = ["detect", "--serving", server.target, "--model", "droids", str(tmp_path / "photo.jpg")]
        assert "\tcan\t" in CliRunner().invoke(main, [*way, "--labels", str(tmp_path / "labels.txt")]).stdout
        gone = CliRunner().invoke(main, [*way, "--labels", "/gone.txt"])
        assert (gone.exit_code, "/gone.txt" in gone.stderr) == (Exit.USAGE, True)


def test_bench_prints_what_was_measured(url: str, server: FakeServing, tmp_path: Path) -> None:
    short = ["--seconds", "0.5", "--warm-up", "0.1"]
    text = CliRunner().invoke(main, ["bench", "--gateway", url, *short, "--concurrency", "2"])
    assert text.exit_code == Exit.OK, text.stderr
    assert all(word in text.stdout for word in ("p50", "p95", "p99", "images/s", "errors    none"))
    way = ["--serving", server.target, "--model", "droids"]
    told = CliRunner().invoke(main, ["bench", *way, *short, "--rate", "20", "--batch", "2", "--json"])
    report = json.loads(told.stdout)
    assert report["images"] == 2 * report["requests"] and report["requests"] == 10


def test_bench_says_what_is_wrong_from_the_start() -> None:
    result = CliRunner().invoke(main, ["bench", "--gateway", "http://127.0.0.1:9", "--timeout", "1"])
    assert (result.exit_code, result.stdout) == (Exit.TRY_AGAIN, "")
    none = CliRunner().invoke(main, ["bench", "--concurrency", "0"])
    assert (none.exit_code, "concurrency is 0" in none.stderr) == (Exit.USAGE, True)
    both = CliRunner().invoke(main, ["bench", "--rate", "1", "--concurrency", "1"])
    assert both.exit_code == Exit.USAGE
