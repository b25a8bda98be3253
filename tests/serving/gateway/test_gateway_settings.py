"""Settings come from the environment and a file; a wrong one is named at start."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.gateways import COMMAND, clean_environment

from sightline_serving.gateway.settings import PREFIX, Settings, SettingsError, load, variable


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    return monkeypatch


def test_each_has_a_description_and_all_but_the_model_a_default(clean: pytest.MonkeyPatch) -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.is_required() == (name == "model")
    clean.setenv("SIGHTLINE_MODEL", "droids")
    assert load() == Settings(model="droids")


def test_the_environment_goes_before_the_file(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('model = "droids"\nport = 9000\nmodels = ["trees", "cars"]\n')
    clean.setenv("SIGHTLINE_SETTINGS", str(file))
    clean.setenv("SIGHTLINE_PORT", "9001")
    settings = load()
    assert (settings.model, settings.port) == ("droids", 9001)
    assert settings.listed_models == ("droids", "trees", "cars")


def test_they_cannot_be_changed() -> None:
    settings = Settings(model="droids", models="a, b,,a")  # type: ignore[arg-type]
    assert settings.listed_models == ("droids", "a", "b")
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SIGHTLINE_PORT", "http", "SIGHTLINE_PORT is 'http': .*integer"),
        ("SIGHTLINE_PORT", "70000", "65535"),
        ("SIGHTLINE_PORT", "tcp://10.0.0.1:80", "enableServiceLinks"),
        ("SIGHTLINE_PROT", "80", "did you mean SIGHTLINE_PORT"),
        ("SIGHTLINE_HOST", "localhost", "SIGHTLINE_HOST is 'localhost': write an IP address"),
        ("SIGHTLINE_HOST", "", "write an IP address"),
        ("SIGHTLINE_SERVING", "http://127.0.0.1:8500", "SIGHTLINE_SERVING is .*host:port"),
        ("SIGHTLINE_SERVING", "localhost", "host:port"),
        ("SIGHTLINE_MODEL", "a/b", "SIGHTLINE_MODEL is 'a/b': write the model's name alone"),
        ("SIGHTLINE_MODEL", "a/versions/1", "name alone"),
        ("SIGHTLINE_MODELS", "a,b/c", "SIGHTLINE_MODELS .*'b/c' is no model"),
        ("SIGHTLINE_LABEL", "", "SIGHTLINE_LABEL is '': .*leave the variable out"),
        ("SIGHTLINE_CANARY_LABEL", "new", "SIGHTLINE_CANARY_LABEL needs SIGHTLINE_LABEL beside it"),
        ("SIGHTLINE_SHADOW_SHARE", "0.5", "SIGHTLINE_SHADOW_SHARE needs SIGHTLINE_SHADOW_LABEL"),
        ("SIGHTLINE_TLS_CA", __file__, "SIGHTLINE_TLS_CA .*no certificate in PEM"),
        ("SIGHTLINE_TLS_KEY", __file__, "SIGHTLINE_TLS_CERTIFICATE and SIGHTLINE_TLS_KEY belong together"),
        ("SIGHTLINE_RATE_LIMIT", "0/minute", "SIGHTLINE_RATE_LIMIT is '0/minute': .*at least 1"),
        ("SIGHTLINE_RATE_LIMIT", "often", "such as 60/minute"),
        ("SIGHTLINE_RATE_STORE", "foo://x", "SIGHTLINE_RATE_STORE is 'foo://x': write memory:// or redis://"),
        ("SIGHTLINE_RATE_STORE", "redis://x:y", "write memory:// or redis://"),
        ("SIGHTLINE_CORS_ORIGINS", "example.org", "'example.org' is no origin; write https://host"),
        ("SIGHTLINE_URL_HOSTS", "https://example.org", "write its name alone"),
        ("SIGHTLINE_MAX_BODY", "9" * 30, "SIGHTLINE_MAX_BODY is '999.*less than"),
        ("SIGHTLINE_VIDEO_TIMEOUT", "inf", "SIGHTLINE_VIDEO_TIMEOUT is 'inf': .*less than"),
        ("SIGHTLINE_VIDEO_TIMEOUT", "nan", "SIGHTLINE_VIDEO_TIMEOUT is 'nan'"),
        ("SIGHTLINE_LOG_LEVEL", "loud", "debug"),
        ("SIGHTLINE_SETTINGS", "/no/such/file", "cannot read"),
    ],
)
def test_a_wrong_variable_is_named(clean: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    clean.setenv("SIGHTLINE_MODEL", "droids")
    clean.setenv(name, value)
    with pytest.raises(SettingsError, match=words):
        load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "::1"),
        ("serving", "dns:///tf-serving:8500"),
        ("serving", "ipv4:10.0.0.1:8500,10.0.0.2:8500"),
        ("serving", "unix:/run/serving.sock"),
        ("serving", "[::1]:8500"),
        ("model", "droids-v2.1"),
        ("rate_limit", "60/minute;5/second"),
        ("rate_store", "redis://:secret@store:6379/1"),
        ("cors_origins", "https://example.org, http://localhost:3000"),
        ("cors_origins", "*"),
        ("url_hosts", "example.org,10.0.0.1,::1"),
    ],
)
def test_a_right_variable_is_taken(clean: pytest.MonkeyPatch, name: str, value: str) -> None:
    clean.setenv("SIGHTLINE_MODEL", "droids")
    clean.setenv(variable(name), value)
    assert getattr(load(), name) in (value, tuple(word.strip() for word in value.split(",")))


def test_a_wrong_entry_of_the_file_is_named(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    clean.setenv("SIGHTLINE_SETTINGS", str(file))
    file.write_text("modle = 1")
    with pytest.raises(SettingsError, match=r"modle in .* did you mean model"):
        load()
    file.write_text("model = ")
    with pytest.raises(SettingsError, match="cannot read"):
        load()


def test_what_kubernetes_tells_of_services_is_no_setting(clean: pytest.MonkeyPatch) -> None:
    clean.setenv("SIGHTLINE_MODEL", "droids")
    clean.setenv("SIGHTLINE_GATEWAY_SERVICE_HOST", "10.0.0.1")
    clean.setenv("SIGHTLINE_GATEWAY_PORT", "tcp://10.0.0.1:80")
    clean.setenv("SIGHTLINE_GATEWAY_PORT_80_TCP_PORT", "80")
    assert load().model == "droids"


def test_the_command_says_what_is_wrong_and_ends_with_2() -> None:
    run = subprocess.run(
        COMMAND,
        env=clean_environment(prot="1", serving=""),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2
    assert "SIGHTLINE_PROT" in run.stderr
    assert "Traceback" not in run.stderr


def test_an_address_of_another_machine_is_told_as_the_wrong_address() -> None:
    environment = clean_environment(model="droids", host="192.0.2.1")  # for documents; nobody's
    run = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert "SIGHTLINE_HOST is '192.0.2.1'" in run.stderr
    assert "SIGHTLINE_PORT" not in run.stderr


def test_help_lists_every_variable() -> None:
    run = subprocess.run((*COMMAND, "--help"), capture_output=True, text=True, timeout=60, check=True)
    for name, field in Settings.model_fields.items():
        assert variable(name) in run.stdout
        assert str(field.description) in run.stdout
