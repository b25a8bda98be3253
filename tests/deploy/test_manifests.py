"""The manifests: every overlay and combination builds and hangs together."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from support.manifests import (
    COMPONENTS,
    K8S,
    REPOSITORY,
    Manifest,
    build,
    combine,
    names,
    of_kind,
    selects,
    templates,
)
from support.pins import pins

# Made outside of the manifests: secrets by a person or an operator, lists by whoever starts a batch.
OUTSIDE_SECRETS = {
    "gateway-api-keys",
    "gateway-serving-tls",
    "tf-serving-tls",
    "sightline-tls",
    "batch-api-key",
}
OUTSIDE_CONFIG = {"batch-lists", "batch-ray-lists"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_each_component_builds_alone_and_adds_or_changes_something(component: str, tmp_path: Path) -> None:
    assert combine(tmp_path / "with", [component]) != combine(tmp_path / "without", [])


@pytest.mark.slow
@pytest.mark.parametrize("pair", [*itertools.combinations(COMPONENTS, 2)], ids="+".join)
def test_each_pair_of_components_builds_in_either_order(pair: tuple[str, str], tmp_path: Path) -> None:
    one, other = combine(tmp_path / "one", pair), combine(tmp_path / "other", pair[::-1])

    def key(manifest: Manifest) -> str:
        return json.dumps([manifest["kind"], manifest["metadata"]["name"]])

    assert [key(item) for item in sorted(one, key=key)] == [key(item) for item in sorted(other, key=key)]


@pytest.mark.parametrize("pair", [("gpu", "gpu-xla"), ("gpu-xla", "gpu")], ids="+".join)
def test_a_gpu_may_have_what_xla_compiles(pair: tuple[str, str], tmp_path: Path) -> None:
    pods = dict(templates(combine(tmp_path, pair)))
    (container,) = pods["Deployment/tf-serving"]["spec"]["containers"]
    assert "--xla_gpu_compilation_enabled=true" in container["args"]
    assert "--tensorflow_intra_op_parallelism=1" not in container["args"]
    assert {item["name"] for item in container["env"]} >= {"TF_XLA_FLAGS", "TF_FORCE_GPU_ALLOW_GROWTH"}


def test_no_two_objects_have_the_same_name(manifests: list[Manifest]) -> None:
    keys = [(item["kind"], item["metadata"]["name"]) for item in manifests]
    assert len(keys) == len(set(keys))


def test_everything_is_in_the_namespace(manifests: list[Manifest]) -> None:
    for item in manifests:
        if item["kind"] != "Namespace":
            assert item["metadata"].get("namespace") == "sightline", item["metadata"]["name"]


# --- schemas ---------------------------------------------------------------------------------------


def test_selectors_pick_their_pods_and_services_reach_named_ports(manifests: list[Manifest]) -> None:
    pods = dict(templates(manifests))
    for deployment in of_kind(manifests, "Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert selects(deployment["spec"]["selector"], labels)
        for spread in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]:
            assert selects(spread["labelSelector"], labels)
    for service in of_kind(manifests, "Service"):
        chosen = [
            pod for pod in pods.values() if selects(service["spec"]["selector"], pod["metadata"]["labels"])
        ]
        assert len(chosen) == 1, f"{service['metadata']['name']} picks {len(chosen)} kinds of pod"
        ports = {port["name"] for box in chosen[0]["spec"]["containers"] for port in box.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for budget in of_kind(manifests, "PodDisruptionBudget"):
        assert any(selects(budget["spec"]["selector"], pod["metadata"]["labels"]) for pod in pods.values())


def test_probes_name_ports_that_the_container_has(manifests: list[Manifest]) -> None:
    for deployment in of_kind(manifests, "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["port"] in ports, deployment["metadata"]["name"]


def test_a_gateway_starts_when_serving_is_there_and_stays_when_it_is_away(manifests: list[Manifest]) -> None:
    """Or all gateways would leave their Service at once, and nobody were left to answer (decision 0051)."""
    pods = dict(templates(manifests))
    (gateway,) = pods["Deployment/gateway"]["spec"]["containers"]
    (serving,) = pods["Deployment/tf-serving"]["spec"]["containers"]
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    assert [gateway[name]["httpGet"]["path"] for name in probes] == ["/readyz", "/healthz", "/healthz"]

    def patience(container: Manifest) -> int:
        return int(container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"])

    assert patience(gateway) >= patience(serving)


def test_ray_nodes_are_probed_over_http(whole: list[Manifest]) -> None:
    """KubeRay puts in probes that run wget where there are none, and the image has no wget."""
    (job,) = of_kind(whole, "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        ports = {port["name"] for port in container["ports"]}
        for probe in ("readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["port"] in ports


def test_the_ray_cluster_is_of_the_images_ray(whole: list[Manifest]) -> None:
    (job,) = of_kind(whole, "RayJob")
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == pins(REPOSITORY / "constraints.txt")["ray"]


def test_monitors_pick_a_service_and_a_port_of_it(whole: list[Manifest]) -> None:
    services = of_kind(whole, "Service")
    for monitor in of_kind(whole, "ServiceMonitor"):
        chosen = [
            item for item in services if selects(monitor["spec"]["selector"], item["metadata"]["labels"])
        ]
        assert len(chosen) == 1
        ports = {port["name"] for port in chosen[0]["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports


def test_volumes_mounts_claims_maps_and_secrets_exist(manifests: list[Manifest]) -> None:
    maps = names(manifests, "ConfigMap") | OUTSIDE_CONFIG
    claims, accounts = names(manifests, "PersistentVolumeClaim"), names(manifests, "ServiceAccount")
    for owner, template in templates(manifests):
        spec = template["spec"]
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        for container in spec["containers"]:
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            assert mounted == set(volumes), owner
            for source in container.get("envFrom", []):
                assert source["configMapRef"]["name"] in maps, owner
        for volume in volumes.values():
            sources = [*volume.get("projected", {}).get("sources", []), volume]
            for source in sources:
                if "configMap" in source:
                    assert source["configMap"]["name"] in maps, owner
                if "secret" in source:
                    assert source["secret"]["secretName"] in OUTSIDE_SECRETS, owner
                if "persistentVolumeClaim" in source:
                    assert source["persistentVolumeClaim"]["claimName"] in claims, owner
        assert spec.get("serviceAccountName", "default") in accounts | {"default"}, owner


def test_what_is_added_to_the_production_overlay_gets_its_registry_and_storage(tmp_path: Path) -> None:
    folder = shutil.copytree(K8S / "overlays/production-gpu", tmp_path / "overlay")
    away = os.path.relpath(K8S, folder.resolve())
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    kustomization["resources"] = [f"{away}/base", "ingress.yaml"]
    kustomization["components"] = [f"{away}/components/{name}" for name in COMPONENTS]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    manifests = build(folder)
    for owner, template in templates(manifests):
        for container in template["spec"]["containers"]:
            assert container["image"].startswith("registry.example.com/"), owner
    classes = {item["spec"]["storageClassName"] for item in of_kind(manifests, "PersistentVolumeClaim")}
    assert classes == {"shared-files"}


def test_the_indexed_job_names_its_own_container_and_distinct_exit_codes(whole: list[Manifest]) -> None:
    (job,) = of_kind(whole, "Job")
    spec = job["spec"]
    containers = {container["name"] for container in spec["template"]["spec"]["containers"]}
    codes = [rule["onExitCodes"] for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    assert {item["containerName"] for item in codes} <= containers
    values = [value for item in codes for value in item["values"]]
    assert len(values) == len(set(values)) and 0 not in values
    assert spec["parallelism"] <= spec["completions"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # a failure policy wants it
