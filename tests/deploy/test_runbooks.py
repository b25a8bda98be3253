"""Commands of the runbooks, the deployment guide and the components: what they name exists, and they run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from google.protobuf import text_format
from support.certificates import self_signed
from support.manifests import K8S, REPOSITORY, build, of_kind

from sightline.cli import main
from sightline_serving.model_server.wire import serving_config_pb2

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
def test_kubectl_is_told_what_it_does_not_guess(page: Path) -> None:
    for words in _commands(page, "kubectl"):
        if words[1] not in EVERYWHERE and words[1:3] != ["create", "namespace"]:
            assert words[1:3] == ["-n", "sightline"], " ".join(words)
        if "logs" in words and "-l" in words:  # of pods picked by a label it shows ten lines unless told
            assert any(word.startswith("--tail=") for word in words), " ".join(words)
        if "debug" in words:  # or the namespace refuses the container
            assert "--profile=restricted" in words


def test_the_model_is_renamed_everywhere_by_the_guides_command(tmp_path: Path) -> None:
    (command,) = re.findall(r"^ {4}(grep .+)$", (REPOSITORY / "docs/deploy.md").read_text(), re.MULTILINE)
    for folder in ("k8s", "docker", "serving/sightline_serving/config"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    subprocess.run(["bash", "-ec", command.replace("NAME", "birds-of-prey")], cwd=tmp_path, check=True)
    manifests = build(tmp_path / "k8s/overlays/production-gpu")
    assert "droids" not in str(manifests)
    (settings,) = (
        item["data"] for item in of_kind(manifests, "ConfigMap") if "SIGHTLINE_MODEL" in item["data"]
    )
    assert settings["SIGHTLINE_MODEL"] == "birds-of-prey"
    assert "/v1/models/birds-of-prey/metadata" in (tmp_path / "docker/tf-serving/Dockerfile").read_text()


def test_the_tls_component_says_how_servings_configuration_is_made(tmp_path: Path) -> None:
    said = (K8S / "components/tls/kustomization.yaml").read_text()
    (script,) = re.findall(r"^#   (pem\(\).+?> ssl\.config)$", said, re.MULTILINE | re.DOTALL)
    made = self_signed(tmp_path)
    for name, source in (("serving.key", made.key), ("serving.crt", made.cert), ("ca.crt", made.cert)):
        (tmp_path / name).write_bytes(source.read_bytes())
    subprocess.run(["sh", "-ec", script.replace("\n#", "\n")], cwd=tmp_path, check=True)
    config = text_format.Parse((tmp_path / "ssl.config").read_text(), serving_config_pb2.SSLConfig())
    assert config.client_verify
    assert config.server_key == made.key.read_text()
    assert config.server_cert == config.custom_ca == made.cert.read_text()
