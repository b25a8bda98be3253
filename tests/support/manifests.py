"""The Kubernetes manifests as kustomize builds them, for the tests that examine them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from support.tools import tool

REPOSITORY = Path(__file__).resolve().parents[2]
K8S = REPOSITORY / "k8s"
COMPONENTS = sorted(path.name for path in (K8S / "components").iterdir() if path.is_dir())
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir() if path.is_dir())
_UNITS = {"": 1, "m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 1e3, "M": 1e6, "G": 1e9}

Manifest = dict[str, Any]


def build(folder: Path) -> list[Manifest]:
    """What `kubectl kustomize` makes of a folder."""
    done = subprocess.run(
        [tool("kubectl"), "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def combine(folder: Path, components: Sequence[str]) -> list[Manifest]:
    """The base with some of the components."""
    folder.mkdir(parents=True, exist_ok=True)
    away = os.path.relpath(K8S, folder.resolve())
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "sightline",
        "resources": [f"{away}/base"],
        "components": [f"{away}/components/{name}" for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return build(folder)


def pod_templates(manifest: Manifest) -> Iterator[Manifest]:
    """The pod templates in a manifest of any kind that has some."""
    spec = manifest.get("spec", {})
    kind = manifest["kind"]
    if kind in {"Deployment", "Job"}:
        yield spec["template"]
    elif kind == "CronJob":
        yield spec["jobTemplate"]["spec"]["template"]
    elif kind == "RayJob":
        cluster = spec["rayClusterSpec"]
        yield cluster["headGroupSpec"]["template"]
        for group in cluster["workerGroupSpecs"]:
            yield group["template"]


def templates(manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """All pod templates, each with the name of what it belongs to."""
    for manifest in manifests:
        for template in pod_templates(manifest):
            yield f"{manifest['kind']}/{manifest['metadata']['name']}", template


def of_kind(manifests: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def names(manifests: Sequence[Manifest], kind: str) -> set[str]:
    return {manifest["metadata"]["name"] for manifest in of_kind(manifests, kind)}


def quantity(text: str | int) -> float:
    """`500m`, `2Gi`, … as a number."""
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text))
    assert match is not None, text
    return float(match[1]) * _UNITS[match[2]]


def selects(selector: Manifest, labels: Manifest) -> bool:
    """Whether `matchLabels` (or a Service's selector) picks these labels."""
    wanted = selector.get("matchLabels", selector)
    return all(labels.get(key) == value for key, value in wanted.items())
