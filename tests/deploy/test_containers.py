"""The images as they are meant to run: read-only, unprivileged, bounded; and a detection through two of them.

`docker/ci/images.sh` builds them from the unchanged Dockerfiles on stand-in bases. The local model server is
there in place of TensorFlow Serving, whose image cannot be had where no registry is reached.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.exported import exported_models
from support.gateways import free_port
from support.manifests import REPOSITORY
from support.pictures import jpeg
from support.tools import missing, tool

pytestmark = pytest.mark.slow

GATEWAY = "localhost/sightline/gateway:0.1.0"
MODEL_SERVER = "localhost/sightline/model-server:0.1.0"
MOST_UNPACKED = 350 * 2**20  # bytes of the gateway's image
WAIT_S = 120
HARDENED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges")


@pytest.fixture(scope="session")
def podman() -> str:
    """Podman with the images there."""
    found = tool("podman")
    if not os.environ.get("CONTAINERS_CONF"):
        missing("CONTAINERS_CONF is not set (docker/ci/images.sh FOLDER writes that file)")
    for image in (GATEWAY, MODEL_SERVER):
        assert subprocess.run([found, "image", "exists", image], check=False).returncode == 0, image
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


def test_wrong_settings_end_the_container_with_their_name(podman: str) -> None:
    done = subprocess.run(
        [podman, "run", "--rm", *HARDENED, "-e", "SIGHTLINE_MODLE=droids", GATEWAY],
        capture_output=True, text=True, check=False, timeout=WAIT_S,
    )  # fmt: skip
    assert done.returncode == 2
    assert "SIGHTLINE_MODEL" in done.stderr


@pytest.fixture(scope="session")
def stack(podman: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Both services of the compose file, as it describes them; the gateway's URL."""
    folder = tmp_path_factory.mktemp("stack")
    folder.chmod(0o755)
    models = exported_models(folder)
    for path in (folder.parent, folder, *models.rglob("*"), models):
        path.chmod(0o755 if path.is_dir() else 0o644)
    port = free_port()
    compose = [tool("podman-compose"), "-f", str(REPOSITORY / "docker/compose.yaml"), "--profile", "local"]
    environment = {**os.environ, "MODELS": str(models), "GATEWAY_PORT": str(port)}
    up = [*compose, "up", "-d", "--no-build", "model-server", "gateway"]
    started = subprocess.run(up, env=environment, capture_output=True, text=True, check=False, timeout=300)
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield f"http://127.0.0.1:{port}"
    finally:
        subprocess.run(
            [*compose, "down", "-t", "20"], env=environment, capture_output=True, check=False, timeout=300
        )


def _name(podman: str, service: str) -> str:
    names = _run(podman, "ps", "--format", "{{.Names}}").split()
    (name,) = [name for name in names if name.endswith((f"sightline_{service}_1", f"sightline-{service}-1"))]
    return name


def test_the_compose_stack_answers_a_detection_end_to_end(podman: str, stack: str) -> None:
    deadline = time.monotonic() + WAIT_S
    ready = 0
    while ready != 200 and time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            ready = httpx.get(f"{stack}/readyz", timeout=5).status_code
        time.sleep(0.5)
    assert ready == 200, _run(podman, "logs", _name(podman, "model-server"))
    answer = httpx.post(
        f"{stack}/v1/detect?threshold=0", content=jpeg(), headers={"Content-Type": "image/jpeg"}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == {"name": "droids", "version": 1}
    assert answer.json()["detections"]
    _run(podman, "healthcheck", "run", _name(podman, "gateway"))
    for service in ("gateway", "model-server"):
        told = _inspect(podman, "container", _name(podman, service))
        assert told["HostConfig"]["ReadonlyRootfs"] is True
        assert told["HostConfig"]["Memory"] > 0
        assert told["EffectiveCaps"] in ([], None)
        assert told["Config"]["User"] == "65532:65532"


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
