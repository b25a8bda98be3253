"""What the Dockerfiles, the compose file and the build context say, without an engine."""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import gateway_memory
from support.manifests import K8S, REPOSITORY
from support.pins import FILES, normal, pins

from sightline_serving.gateway.settings import Settings, variable

DOCKER = REPOSITORY / "docker"
DOCKERFILES = sorted(DOCKER.glob("*/Dockerfile"))


def _pinned(package: str) -> str:
    return pins(REPOSITORY / "constraints.txt")[package]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return loaded


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_bases_are_pinned_users_are_numbers_and_images_are_described(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE))
    for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        assert base in stages | {"scratch"} or re.search(r":\d+\.\d+\.\d+", base), base
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1] == "65532:65532"
    assert "org.opencontainers.image.licenses" in text
    assert "HEALTHCHECK" in text


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_what_pip_installs_by_name_is_pinned(dockerfile: Path) -> None:
    for line in re.findall(r"pip \S* ?\S* ?install (.+)", dockerfile.read_text().replace("\\\n", " ")):
        words = shlex.split(line.partition("&&")[0])
        files = [words[at + 1].removeprefix("/src/") for at, word in enumerate(words) if word == "-c"]
        assert files == list(FILES)[: len(files)] != []
        named = {word for word in words if word[0].isalpha()} - set(files)  # the others are options and paths
        pinned = {name for file in files for name in pins(REPOSITORY / file)}
        assert {normal(word.partition("[")[0]) for word in named} <= pinned, line


def test_tensorflow_serving_is_of_the_training_tensorflow() -> None:
    version = _pinned("tensorflow")
    serving = re.findall(
        r"^FROM tensorflow/serving:([\d.]+)", (DOCKER / "tf-serving/Dockerfile").read_text(), re.M
    )
    training = re.findall(
        r"^FROM tensorflow/tensorflow:([\d.]+)", (DOCKER / "training/Dockerfile").read_text(), re.M
    )
    assert serving == [version, version]
    assert training == [version]


def test_what_dockerfiles_copy_is_let_in_and_nothing_else_of_weight() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    for path in allowed:
        assert (REPOSITORY / path).exists(), path
    for dockerfile in DOCKERFILES:
        text = dockerfile.read_text().replace("\\\n", " ")
        for copied in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
            for source in copied.split()[:-1]:
                near = [path for path in allowed if f"{path}/".startswith(f"{source}/")]
                assert near or any(source.startswith(f"{path}/") for path in allowed), source
    for secret in (".git/config", "shared/data/x.jpg", "build/demo/models", ".venv/bin/python", "tests/x.py"):
        assert not any(fnmatch(secret, path) or secret.startswith(path + "/") for path in allowed), secret


def test_the_same_flags_in_image_and_manifest() -> None:
    (deployment,) = yaml.safe_load_all((K8S / "base/tf-serving/deployment.yaml").read_text())
    manifest = set(deployment["spec"]["template"]["spec"]["containers"][0]["args"])
    # a core for each picture is for CPUs; the local server has threads of its own making
    left_out = {"gpu": {"--tensorflow_intra_op_parallelism=1"}, "model-server": {"--grpc_max_threads=128"}}
    seen = []
    for image in ("tf-serving", "model-server"):
        text = (DOCKER / image / "Dockerfile").read_text()
        for target, stage in re.findall(r"^FROM \S+ AS (\S+)$(.+?)(?=^FROM|\Z)", text, re.M | re.S):
            for command in re.findall(r"^CMD (\[.+?\])$", stage, re.M | re.S):
                flags = set(yaml.safe_load(command.replace("\\\n", "")))
                if flags != {"--help"}:
                    assert flags == manifest - left_out.get(target, set()), target
                    seen.append(target)
    assert seen == ["cpu", "gpu", "model-server"]


def test_compose_hardens_every_service_and_names_files_that_exist(compose: dict[str, Any]) -> None:
    named = set(compose["volumes"])
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "mem_limit" in service, name
        assert service["profiles"], name
        if "build" in service:
            assert (REPOSITORY / service["build"]["dockerfile"]).is_file()
        else:
            assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in named or source.startswith("${") or (DOCKER / source).exists(), source
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} would be reached from outside"


def test_compose_gives_the_gateway_settings_that_exist(compose: dict[str, Any]) -> None:
    given = compose["services"]["gateway"]["environment"]
    assert set(given) <= {variable(field) for field in Settings.model_fields}


def test_compose_gives_the_gateway_room_for_all_that_its_settings_let_in(compose: dict[str, Any]) -> None:
    gateway = compose["services"]["gateway"]
    settings = gateway_memory.bounds(gateway["environment"])
    assert gateway["tmpfs"] == ["/tmp"]  # memory too
    gigabytes = float(gateway["mem_limit"].removesuffix("g"))
    assert gateway_memory.memory(settings) + gateway_memory.disk(settings) <= gigabytes * 2**30


def test_every_profile_brings_one_serving_and_everything_else(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for profile in ("cpu", "gpu", "local"):
        chosen = {name for name, service in services.items() if profile in service["profiles"]}
        serving = {name for name in chosen if "networks" in services[name]}
        assert len(serving) == 1
        assert chosen - serving == {"gateway", "prometheus", "alertmanager", "grafana"}


def test_prometheus_scrapes_the_names_and_ports_of_compose(compose: dict[str, Any]) -> None:
    config = yaml.safe_load((DOCKER / "monitoring/prometheus.yaml").read_text())
    aliases = {
        alias
        for service in compose["services"].values()
        for alias in service.get("networks", {}).get("default", {}).get("aliases", [])
    }
    for job in config["scrape_configs"]:
        for target in job["static_configs"][0]["targets"]:
            assert target.split(":")[0] in aliases | set(compose["services"])
