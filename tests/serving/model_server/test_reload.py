"""Configurations put in force while serving: by call, by polling the file, with labels."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import text_format
from support.model_servers import server_here
from support.saved_models import write_half_plus
from support.serving_calls import TIMEOUT_S, Caller, predict_request, rest
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

from sightline_serving.model_server.status import StatusError

LONG_S = 30.0


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `2` and `3`: x / 2 + 2 and x / 2 + 3."""
    folder = tmp_path_factory.mktemp("versions")
    for plus in (2, 3):
        write_half_plus(folder / str(plus), float(plus))
    return folder


def config(*entries: str) -> Any:
    text = "".join(f'config {{ model_platform: "tensorflow" {entry} }}' for entry in entries)
    return text_format.Parse(f"model_config_list {{ {text} }}", model_server_config_pb2.ModelServerConfig())


def entry(name: str, base: Path, more: str = "") -> str:
    return f'name: "{name}" base_path: "{base}" {more}'


def answer(caller: Caller, name: str, *, version: int | None = None, label: str = "") -> float:
    request = predict_request(name, x=[2.0])
    if version is not None:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    return float(caller.predict(request).outputs["y"].float_val[0])


def failure(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code().name, caught.value.details()


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def base(versions: Path, tmp_path: Path) -> Path:
    """A model with versions 2 and 3, for one test."""
    return Path(shutil.copytree(versions, tmp_path / "m"))


@pytest.fixture
def file(base: Path, tmp_path: Path) -> Path:
    """A config file with that model."""
    made = tmp_path / "models.config"
    made.write_text(str(config(entry("m", base))))
    return made


@pytest.fixture
def caller(file: Path) -> Iterator[Caller]:
    # The file is not polled: a poll would put it in force again, whatever a call has changed.
    flags = (f"--model_config_file={file}", "--max_num_load_retries=0")
    with server_here(*flags) as served, Caller(served.address) as made:
        yield made


def test_a_model_is_added_and_another_removed(caller: Caller, base: Path) -> None:
    caller.reload(
        config(entry("m", base), entry("n", base, "model_version_policy { specific { versions: 2 } }"))
    )
    assert (answer(caller, "m"), answer(caller, "n")) == (4.0, 3.0)
    caller.reload(config(entry("n", base, "model_version_policy { specific { versions: 2 } }")))
    until(lambda: caller.states("m") == {3: "END"})
    assert failure(lambda: answer(caller, "m")) == (
        "NOT_FOUND",
        "Servable not found for request: Latest(m)",
    )
    caller.reload(config(entry("m", base)))  # and back again
    assert answer(caller, "m") == 4.0


def test_policies_change(caller: Caller, base: Path) -> None:
    assert caller.states("m") == {3: "AVAILABLE"}
    caller.reload(config(entry("m", base, "model_version_policy { all {} }")))
    until(lambda: caller.states("m") == {3: "AVAILABLE", 2: "AVAILABLE"})
    assert (answer(caller, "m", version=2), answer(caller, "m", version=3)) == (3.0, 4.0)


def test_labels(caller: Caller, base: Path) -> None:
    everything = "model_version_policy { all {} }"
    labels = 'version_labels { key: "stable" value: 2 } version_labels { key: "canary" value: 3 }'
    assert failure(lambda: caller.reload(config(entry("m", base, f"{everything} {labels}")))) == (
        "FAILED_PRECONDITION",
        "Request to assign label to version 2 of model m, which is not currently available for inference",
    )
    caller.reload(config(entry("m", base, everything)))
    until(lambda: caller.states("m") == {3: "AVAILABLE", 2: "AVAILABLE"})
    caller.reload(config(entry("m", base, f"{everything} {labels}")))
    assert (answer(caller, "m", label="stable"), answer(caller, "m", label="canary")) == (3.0, 4.0)


def test_labels_need_their_flag_at_the_first_start(base: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.config"
    file.write_text(str(config(entry("m", base, 'version_labels { key: "stable" value: 3 }'))))
    with (
        pytest.raises(StatusError, match="Request to assign label to version 3 of model m, which is not"),
        server_here(f"--model_config_file={file}"),
    ):
        pass


def test_labels_at_the_first_start(base: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.config"
    policy = 'model_version_policy { all {} } version_labels { key: "stable" value: 2 }'
    file.write_text(str(config(entry("m", base, policy))))
    flags = (f"--model_config_file={file}", "--allow_version_labels_for_unavailable_models")
    with server_here(*flags) as served, Caller(served.address) as caller:
        until(lambda: caller.states("m") == {3: "AVAILABLE", 2: "AVAILABLE"})
        assert answer(caller, "m", label="stable") == 3.0
        body = {"instances": [2.0]}
        assert rest(f"{served.url}/v1/models/m/labels/stable:predict", body).json == {"predictions": [3.0]}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda base: [entry("m", base)] * 2, "Illegal to list model m multiple times in config list"),
        (
            lambda _: [entry("m", Path("relative"))],
            "Expected model m to have an absolute path or URI; got base_path()=relative",
        ),
        (
            lambda base: [entry("n", base, 'model_platform: "caffe"')],
            "Model n requests unsupported platform caffe",
        ),
        (
            lambda base: [entry("m", base, 'model_platform: "caffe"')],
            "Illegal to change a model's platform. For model m platform was tensorflow and new platform "
            "requested is caffe",
        ),
    ],
)
def test_refused_configurations(
    caller: Caller, base: Path, make: Callable[[Path], list[str]], message: str
) -> None:
    text = "".join(
        "config {" + ("" if "platform" in one else 'model_platform: "tensorflow" ') + one + "}"
        for one in make(base)
    )
    refused = text_format.Parse(
        f"model_config_list {{ {text} }}", model_server_config_pb2.ModelServerConfig()
    )
    assert failure(lambda: caller.reload(refused)) == ("INVALID_ARGUMENT", message)
    assert answer(caller, "m") == 4.0


def test_a_model_that_does_not_load(caller: Caller, base: Path, tmp_path: Path) -> None:
    (tmp_path / "broken" / "1").mkdir(parents=True)
    code, message = failure(
        lambda: caller.reload(config(entry("m", base), entry("broken", tmp_path / "broken")))
    )
    assert code == "UNKNOWN"
    assert message.startswith(
        "1 model(s) did not become available: {{{name: broken version: 1} due to error: "
        "NOT_FOUND: Could not find "
        "SavedModel .pb or .pbtxt at supplied export directory path: "
    )
    (told,) = caller.status("broken").model_version_status
    assert told.status.error_code == 5
    assert answer(caller, "m") == 4.0


def test_only_lists_of_models(caller: Caller) -> None:
    request = model_management_pb2.ReloadConfigRequest()
    request.config.custom_model_config.SetInParent()
    code, message = failure(lambda: caller.model.HandleReloadConfigRequest(request, timeout=TIMEOUT_S))
    assert code == "INVALID_ARGUMENT"
    assert message.startswith("ServerModelConfig type not supported by HandleReloadConfigRequest.")


def test_the_config_file_is_polled(base: Path, file: Path) -> None:
    flags = (f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=1")
    with server_here(*flags) as served, Caller(served.address) as caller:
        file.write_text("nonsense {")  # is logged, and changes nothing
        beside = file.with_name("next")
        beside.write_text(str(config(entry("m", base), entry("later", base))))
        beside.rename(file)

        def serves() -> bool:
            try:
                return answer(caller, "later") == 4.0
            except grpc.RpcError:
                return False

        until(serves)
