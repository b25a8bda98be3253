"""The images as they are meant to run: read-only, unprivileged, bounded; and a detection through two of them.

`docker/ci/images.sh` builds them from the unchanged Dockerfiles on stand-in bases. The local model server is
there in place of TensorFlow Serving, whose image cannot be had where no registry is reached.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.exported import exported_models
from support.gateways import free_port
from support.manifests import REPOSITORY
from support.pictures import jpeg
from support.pins import FILES, normal, pins
from support.tools import missing, tool

pytestmark = pytest.mark.slow

GATEWAY = "localhost/sightline/gateway:0.1.0"
TF_SERVING = ("tf-serving:0.1.0", "tf-serving:0.1.0-gpu")
BUILT = (
    *("gateway:0.1.0", "model-server:0.1.0", "model-sync:0.1.0", "training:0.1.0"),
    *("batch:0.1.0", "batch:0.1.0-ray", *TF_SERVING),
)
MOST_UNPACKED = 350 * 2**20  # bytes of the gateway's image
WAIT_S = 120
HARDENED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges")


@pytest.fixture(scope="module")
def podman() -> str:
    """Podman with the images there."""
    found = tool("podman")
    if not os.environ.get("CONTAINERS_CONF"):
        missing("CONTAINERS_CONF is not set (docker/ci/images.sh FOLDER writes that file)")
    for name in BUILT:
        exists = [found, "image", "exists", f"localhost/sightline/{name}"]
        assert subprocess.run(exists, check=False).returncode == 0, name
    return found


def _run(*command: str, timeout: float = WAIT_S) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _inspect(podman: str, what: str, name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(_run(podman, what, "inspect", name))[0]
    return told


def test_the_gateway_image_is_small_unprivileged_and_described(podman: str) -> None:
    image = _inspect(podman, "image", GATEWAY)
    assert image["Size"] < MOST_UNPACKED
    assert image["Config"]["User"] == "65532:65532"
    assert image["Config"]["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert image["Healthcheck"]["Test"][0] == "CMD"


def test_the_gateway_image_holds_no_tensorflow_no_shell_and_no_pip(podman: str) -> None:
    asked = (
        "import importlib.util as i, os, json;"
        "print(json.dumps({'there': [m for m in ('tensorflow', 'keras', 'pip') if i.find_spec(m)],"
        "'shells': [p for p in ('/bin/sh', '/bin/bash') if os.path.exists(p)],"
        "'packages': sorted(os.listdir('/var/lib/dpkg/status.d'))}))"
    )
    told = json.loads(_run(podman, "run", "--rm", *HARDENED, "--entrypoint", "python", GATEWAY, "-c", asked))
    assert told["there"] == [] and told["shells"] == []
    assert "libc6" in told["packages"]


@pytest.mark.parametrize("image", [name for name in BUILT if not name.startswith(("tf-serving", "training"))])
def test_an_image_holds_what_is_pinned_and_nothing_else(podman: str, image: str) -> None:
    asked = "import importlib.metadata as m; print({i.name: i.version for i in m.distributions()})"
    entry = ("--entrypoint=python",)
    told = ast.literal_eval(_hardened(podman, image, "-c", asked, more=entry))
    pinned = {name: version for file in FILES for name, version in pins(REPOSITORY / file).items()}
    held = {normal(name): version for name, version in told.items()}
    loose = {name: version for name, version in held.items() if pinned.get(name) != version}
    assert loose.keys() <= {"sightline", "sightline-serving", "pip", "setuptools", "wheel"}, loose


def test_the_gateway_image_can_call_opencvs_ffmpeg(podman: str) -> None:
    """Which is loaded by name, so that nothing else would miss it."""
    asked = "from sightline.ffmpeg import bundled; print(bundled() is not None)"
    command = [podman, "run", "--rm", *HARDENED, "--entrypoint", "python", GATEWAY, "-c", asked]
    assert _run(*command).strip() == "True"


def test_wrong_settings_end_the_container_with_their_name(podman: str) -> None:
    done = subprocess.run(
        [podman, "run", "--rm", *HARDENED, "-e", "SIGHTLINE_MODLE=droids", GATEWAY],
        capture_output=True, text=True, check=False, timeout=WAIT_S,
    )  # fmt: skip
    assert done.returncode == 2
    assert "SIGHTLINE_MODEL" in done.stderr


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models that any user may read."""
    folder = tmp_path_factory.mktemp("stack")
    made = exported_models(folder)
    for path in (folder.parent, folder, *made.rglob("*"), made):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return made


@dataclass(frozen=True, slots=True)
class Stack:
    """The addresses of the compose file's services on this machine."""

    gateway: str
    prometheus: str
    alertmanager: str


@pytest.fixture(scope="module")
def stack(podman: str, models: Path) -> Iterator[Stack]:
    """The compose file's services as it describes them, all but Grafana, which has no stand-in."""
    ports = [free_port() for _ in range(3)]
    names = ("GATEWAY_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT")
    compose = [tool("podman-compose"), "-f", str(REPOSITORY / "docker/compose.yaml"), "--profile", "local"]
    environment = {**os.environ, "MODELS": str(models), **dict(zip(names, map(str, ports), strict=True))}
    up = [*compose, "up", "-d", "--no-build", "model-server", "gateway", "prometheus", "alertmanager"]
    started = subprocess.run(up, env=environment, capture_output=True, text=True, check=False, timeout=300)
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield Stack(*(f"http://127.0.0.1:{port}" for port in ports))
    finally:
        subprocess.run(
            [*compose, "down", "-v", "-t", "20"],
            env=environment, capture_output=True, check=False, timeout=300,
        )  # fmt: skip


def _name(podman: str, service: str) -> str:
    names = _run(podman, "ps", "--format", "{{.Names}}").split()
    (name,) = [name for name in names if name.endswith((f"sightline_{service}_1", f"sightline-{service}-1"))]
    return name


def _until(true: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if true():
                return
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.5)


def test_the_compose_stack_answers_a_detection_end_to_end(podman: str, stack: Stack) -> None:
    _until(
        lambda: httpx.get(f"{stack.gateway}/readyz", timeout=5).status_code == 200,
        lambda: _run(podman, "logs", _name(podman, "model-server")),
    )
    answer = httpx.post(
        f"{stack.gateway}/v1/detect?threshold=0",
        content=jpeg(),
        headers={"Content-Type": "image/jpeg"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == {"name": "droids", "version": 1}
    assert answer.json()["detections"]
    _run(podman, "healthcheck", "run", _name(podman, "gateway"))
    for service in ("gateway", "model-server", "prometheus", "alertmanager"):
        told = _inspect(podman, "container", _name(podman, service))
        assert told["HostConfig"]["ReadonlyRootfs"] is True
        assert told["HostConfig"]["Memory"] > 0
        assert told["EffectiveCaps"] in ([], None)
        assert told["Config"]["User"] in ("65532:65532", "65534")


def test_the_stacks_prometheus_scrapes_both_services_and_has_its_rules(podman: str, stack: Stack) -> None:
    def scraped() -> bool:
        targets = httpx.get(f"{stack.prometheus}/api/v1/targets", timeout=5).json()["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in targets} == {
            "sightline-gateway": "up",
            "sightline-serving": "up",
        }

    _until(scraped, lambda: _run(podman, "logs", _name(podman, "prometheus")))
    groups = httpx.get(f"{stack.prometheus}/api/v1/rules", timeout=5).json()["data"]["groups"]
    rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert {"SightlineGatewayDown", "sightline:requests:rate5m"} <= rules.keys()
    assert [name for name, rule in rules.items() if rule["health"] == "err"] == []
    told = httpx.get(f"{stack.prometheus}/api/v1/alertmanagers", timeout=5).json()["data"]
    assert [one["url"] for one in told["activeAlertmanagers"]] == ["http://alertmanager:9093/api/v2/alerts"]
    assert httpx.get(f"{stack.alertmanager}/api/v2/status", timeout=5).json()["cluster"]["status"]


def _hardened(podman: str, image: str, *arguments: str, more: tuple[str, ...] = ()) -> str:
    """Run an image once as its jobs are to run."""
    limits = ("--memory=2g", "--network=host", *HARDENED)
    return _run(podman, "run", "--rm", *limits, *more, f"localhost/sightline/{image}", *arguments)


def test_the_batch_image_does_a_job_against_the_stack(podman: str, stack: Stack, tmp_path: Path) -> None:
    pictures, out = tmp_path / "in", tmp_path / "out"
    for folder in (tmp_path.parent, tmp_path, pictures, out):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    out.chmod(0o777)  # the image's user is another
    (pictures / "a.jpg").write_bytes(jpeg())
    mounts = ("-v", f"{pictures}:/in:ro", "-v", f"{out}:/out")
    asked = ("batch", "/in", "--gateway", stack.gateway, "--out", "/out/job", "--format", "ndjson")
    _hardened(podman, "batch:0.1.0", *asked, more=mounts)
    _, line = (out / "job/manifest.ndjson").read_text().splitlines()  # the job, and its one input
    assert json.loads(line)["status"] == "done"
    assert list((out / "job/results").iterdir())


def test_the_sync_image_brings_a_checked_version(podman: str, models: Path, tmp_path: Path) -> None:
    to = tmp_path / "served"
    for folder in (tmp_path.parent, tmp_path, to):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    to.chmod(0o777)
    mounts = ("-v", f"{models}/droids:/store:ro", "-v", f"{to}:/models")
    told = _hardened(
        podman, "model-sync:0.1.0", "--source", "/store", "--models", "/models/droids", more=mounts
    )
    assert (to / "droids/1/saved_model.pb").is_file(), told


@pytest.mark.parametrize(
    ("image", "command", "words"),
    [
        ("training:0.1.0", ["fit", "--help"], "--weights"),
        ("batch:0.1.0-ray", ["python", "-c", "import ray, sightline; print(ray.__version__)"], "2."),
    ],
)
def test_the_other_images_run_unprivileged(podman: str, image: str, command: list[str], words: str) -> None:
    assert words in _hardened(podman, image, *command)


@pytest.mark.parametrize("image", TF_SERVING)
def test_tensorflow_serving_finds_its_files_where_its_flags_name_them(podman: str, image: str) -> None:
    """Its image is a stand-in; what the Dockerfile adds to it is real."""
    flags = _inspect(podman, "image", f"localhost/sightline/{image}")["Config"]["Cmd"]
    named = [flag.partition("=")[2] for flag in flags if "_file=" in flag]
    assert len(named) == 3
    entry = ("--entrypoint=/bin/cat",)
    assert _hardened(podman, image, *named, more=entry).count("{") > 3


def test_the_gateway_container_stops_by_itself_when_asked(podman: str) -> None:
    name = _run(podman, "run", "-d", *HARDENED, "-e", "SIGHTLINE_MODEL=droids", GATEWAY).strip()
    try:
        deadline = time.monotonic() + WAIT_S
        while subprocess.run(
            [podman, "healthcheck", "run", name], capture_output=True, check=False
        ).returncode:
            assert time.monotonic() < deadline, _run(podman, "logs", name)
            time.sleep(0.3)
        _run(podman, "stop", "-t", "40", name)
        assert _inspect(podman, "container", name)["State"]["ExitCode"] == 0
    finally:
        _run(podman, "rm", "-f", name)
