"""What comes and goes in a model's folder, and what the server makes of it.

The folder is looked at once per configuration, and so whenever a test puts the same one in force again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.protobuf import text_format
from support.model_servers import server_here
from support.saved_models import write_half_plus
from support.serving_calls import Caller, predict_request
from support.waiting import until
from tensorflow_serving.config import model_server_config_pb2

OK, NOT_FOUND, OUT_OF_RANGE = 0, 5, 11  # canonical codes


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """x / 2 + 2."""
    return write_half_plus(tmp_path_factory.mktemp("half") / "plus_two")


class Folder:
    """A model's folder, and the server that serves it."""

    def __init__(self, base: Path, version: Path, caller: Caller) -> None:
        self.base = base
        self._version = version
        self._caller = caller

    def publish(self, name: str, source: Path | None = None) -> None:
        """Let a version appear by rename."""
        beside = self.base / f"{name}.tmp"
        shutil.copytree(source or self._version, beside)
        beside.rename(self.base / name)

    def look(self) -> None:
        """Have the server look."""
        entry = f'name: "m" base_path: "{self.base}" model_platform: "tensorflow"'
        text = f"model_config_list {{ config {{ {entry} }} }}"
        self._caller.reload(text_format.Parse(text, model_server_config_pb2.ModelServerConfig()))

    def states(self) -> dict[int, str]:
        return self._caller.states("m")

    def answering(self) -> int:
        """The version that answers."""
        request = predict_request("m", x=[2.0])
        return int(self._caller.predict(request).model_spec.version.value)

    def error(self, number: int) -> tuple[int, str]:
        """Code and text that the status of a version tells."""
        (told,) = self._caller.status("m", number).model_version_status
        return told.status.error_code, told.status.error_message


@pytest.fixture
def folder(version: Path, tmp_path: Path) -> Iterator[Folder]:
    """Version 7, in a folder `0000007`."""
    base = tmp_path / "m"
    base.mkdir()
    shutil.copytree(version, base / "0000007")
    flags = (
        "--model_name=m",
        f"--model_base_path={base}",
        "--file_system_poll_wait_seconds=0",
        "--max_num_load_retries=0",
    )
    with server_here(*flags) as served, Caller(served.address) as caller:
        yield Folder(base, version, caller)


def test_leading_zeros_do_not_count(folder: Folder) -> None:
    assert folder.states() == {7: "AVAILABLE"}
    assert folder.error(7) == (OK, "")
    assert folder.answering() == 7


def test_a_new_version_takes_over(folder: Folder) -> None:
    folder.publish("8")
    folder.look()
    until(lambda: folder.states() == {8: "AVAILABLE", 7: "END"})
    assert folder.answering() == 8


def empty(base: Path) -> None:
    (base / "8").mkdir()


def garbage(base: Path) -> None:
    (base / "8").mkdir()
    (base / "8" / "saved_model.pb").write_bytes(b"\xff" * 100)


def plain_file(base: Path) -> None:
    (base / "8").write_text("no folder")


@pytest.mark.parametrize(
    ("spoil", "code", "text"),
    [
        (empty, NOT_FOUND, "Could not find SavedModel .pb or .pbtxt at supplied export directory path: "),
        (garbage, OUT_OF_RANGE, "Read less bytes than requested"),
        (
            plain_file,
            NOT_FOUND,
            "Could not find SavedModel .pb or .pbtxt at supplied export directory path: ",
        ),
    ],
    ids=["nothing in it", "garbage", "a plain file"],
)
def test_a_bad_version_tells_its_error_and_the_old_one_serves(
    folder: Folder, spoil: Callable[[Path], None], code: int, text: str
) -> None:
    spoil(folder.base)
    folder.look()
    until(lambda: folder.states() == {8: "END", 7: "AVAILABLE"})
    told = folder.error(8)
    assert told[0] == code
    assert told[1].startswith(text)
    assert folder.answering() == 7


def test_what_changes_nothing(folder: Folder, version: Path) -> None:
    """A lower number, other names, files rewritten in place: none of them is loaded."""
    folder.publish("3")
    folder.publish("v9")
    folder.publish("9.next")
    shutil.rmtree(folder.base / "0000007" / "variables")
    shutil.copytree(version / "variables", folder.base / "0000007" / "variables")
    folder.look()
    folder.publish("8")  # whatever the look before had begun is over when this one serves
    folder.look()
    until(lambda: folder.states() == {8: "AVAILABLE", 7: "END"})


def test_the_newest_goes_and_the_older_one_serves_again(folder: Folder) -> None:
    folder.publish("8")
    folder.look()
    until(lambda: folder.states() == {8: "AVAILABLE", 7: "END"})
    shutil.rmtree(folder.base / "8")
    folder.look()
    until(lambda: folder.states() == {8: "END", 7: "AVAILABLE"})
    assert folder.answering() == 7


def test_the_last_one_goes_and_nothing_serves(folder: Folder) -> None:
    shutil.rmtree(folder.base / "0000007")
    folder.look()
    until(lambda: folder.states() == {7: "END"})
