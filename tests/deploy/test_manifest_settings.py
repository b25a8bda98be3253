"""Variables, flags and model configurations in the manifests are ones that the services have."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from support.certificates import self_signed
from support.manifests import (
    Manifest,
    combine,
    of_kind,
    templates,
)

from sightline_serving.gateway.settings import Settings, variable
from sightline_serving.model_server.options import every_flag

CLIENT_VARIABLES = {"SIGHTLINE_API_KEY", "SIGHTLINE_GATEWAY"}


def test_every_gateway_variable_is_a_setting_with_a_sound_value(
    manifests: list[Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {variable(field) for field in Settings.model_fields}
    (settings,) = (
        item["data"]
        for item in of_kind(manifests, "ConfigMap")
        if item["metadata"]["name"].startswith("gateway-settings")
    )
    assert settings.keys() <= known
    values = dict(settings)
    keys = tmp_path / "keys"
    keys.write_text("someone: 0123456789abcdef0123456789abcdef\n")
    made = self_signed(tmp_path)
    files = {"keys": keys, "tls.key": made.key, "tls.crt": made.cert, "ca.crt": made.cert}
    for name, value in values.items():  # files come from secrets; any sound ones will do here
        if value.startswith("/etc/sightline/"):
            values[name] = str(files.get(Path(value).name, keys))
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert Settings().model == "droids"  # type: ignore[call-arg]  # from the environment
    for owner, template in templates(manifests):
        for container in template["spec"]["containers"]:
            for item in container.get("env", []):
                if item["name"].startswith("SIGHTLINE_"):
                    assert item["name"] in CLIENT_VARIABLES, owner


def test_serving_gets_only_flags_that_it_knows_and_files_that_are_mounted(manifests: list[Manifest]) -> None:
    known = {flag.name for flag in every_flag() if not flag.metadata["ours"]} | {"grpc_max_threads"}
    (serving,) = (
        item for item in of_kind(manifests, "Deployment") if item["metadata"]["name"] == "tf-serving"
    )
    spec = serving["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    for argument in container["args"]:
        name, _, value = argument.removeprefix("--").partition("=")
        assert name in known, argument
        if name.endswith("_file"):
            assert str(Path(value).parent) in mounts, argument


def test_the_gateway_finds_serving_where_it_is(manifests: list[Manifest]) -> None:
    (settings,) = (
        item["data"]
        for item in of_kind(manifests, "ConfigMap")
        if item["metadata"]["name"].startswith("gateway-settings")
    )
    scheme, _, address = settings["SIGHTLINE_SERVING"].rpartition("/")
    host, _, port = address.partition(":")
    assert scheme == "dns://"  # round robin over all pods behind the name
    (service,) = (item for item in of_kind(manifests, "Service") if item["metadata"]["name"] == host)
    assert service["spec"]["clusterIP"] == "None"
    assert int(port) in {item["port"] for item in service["spec"]["ports"]}
    maps = [
        item["data"] for item in of_kind(manifests, "ConfigMap") if "models.config" in item.get("data", {})
    ]
    assert f'name: "{settings["SIGHTLINE_MODEL"]}"' in maps[0]["models.config"]


def test_model_configs_are_sound_and_labels_exist(manifests: list[Manifest]) -> None:
    from tensorflow_serving.config import model_server_config_pb2

    (text,) = (
        item["data"]["models.config"]
        for item in of_kind(manifests, "ConfigMap")
        if "models.config" in item.get("data", {})
    )
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (settings,) = (
        item["data"]
        for item in of_kind(manifests, "ConfigMap")
        if item["metadata"]["name"].startswith("gateway-settings")
    )
    wanted = {value for name, value in settings.items() if name.endswith("LABEL")}
    for model in config.model_config_list.config:
        assert wanted <= set(model.version_labels)
        if model.version_labels:
            assert set(model.version_labels.values()) <= set(model.model_version_policy.specific.versions)


def test_going_on_from_one_step_of_a_release_to_the_next_leaves_the_versions_alone(tmp_path: Path) -> None:
    """Else Serving would unload what a step before had it load."""
    steps = [["two-versions"], ["two-versions", "shadow"], ["shadow"], ["canary"]]
    lists = {
        item["data"]["models.config"]
        for number, step in enumerate(steps)
        for item in of_kind(combine(tmp_path / str(number), step), "ConfigMap")
        if "models.config" in item.get("data", {})
    }
    assert len(lists) == 1
    assert "version_labels" in lists.pop()
