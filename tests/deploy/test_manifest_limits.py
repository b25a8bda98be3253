"""What keeps the pods within bounds: resources, restrictions, autoscaling, network policies."""

from __future__ import annotations

import re
import subprocess
import sys

from google.protobuf import text_format
from support import gateway_memory
from support.manifests import (
    K8S,
    REPOSITORY,
    Manifest,
    build,
    of_kind,
    quantity,
    selects,
    templates,
)

from sightline_serving.gateway.app import create_app
from sightline_serving.gateway.settings import Settings
from sightline_serving.model_server.wire import serving_config_pb2


def test_requests_do_not_exceed_limits_and_memory_has_one(manifests: list[Manifest]) -> None:
    for owner, template in templates(manifests):
        for container in template["spec"]["containers"]:
            requests, limits = (container["resources"][name] for name in ("requests", "limits"))
            assert {"cpu", "memory"} <= requests.keys(), owner
            assert "memory" in limits, owner
            for name, value in requests.items():
                assert quantity(value) <= quantity(limits[name]), f"{owner} {name}"


def test_serving_has_room_for_two_versions(manifests: list[Manifest]) -> None:
    measured = 340 * 2**20  # bytes of a server with one detector, TFSERVING measurement in docs/deploy.md
    (serving,) = (
        item for item in of_kind(manifests, "Deployment") if item["metadata"]["name"] == "tf-serving"
    )
    (container,) = serving["spec"]["template"]["spec"]["containers"]
    assert quantity(container["resources"]["requests"]["memory"]) >= 2 * measured


def test_the_gateway_has_room_for_all_that_its_settings_let_in(manifests: list[Manifest]) -> None:
    (environment,) = (
        item["data"]
        for item in of_kind(manifests, "ConfigMap")
        if item["metadata"]["name"].startswith("gateway-settings")
    )
    settings = gateway_memory.bounds(environment)
    spec = dict(templates(manifests))["Deployment/gateway"]["spec"]
    (container,) = spec["containers"]
    assert gateway_memory.memory(settings) <= quantity(container["resources"]["limits"]["memory"])
    (room,) = (volume["emptyDir"]["sizeLimit"] for volume in spec["volumes"] if volume["name"] == "tmp")
    assert gateway_memory.disk(settings) <= quantity(room)


def test_every_pod_is_restricted(manifests: list[Manifest]) -> None:
    for owner, template in templates(manifests):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, owner
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, owner
        assert spec["automountServiceAccountToken"] is False, owner
        assert spec["enableServiceLinks"] is False, owner
        assert not any("hostPath" in volume for volume in spec["volumes"]), owner
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, owner
            assert security["readOnlyRootFilesystem"] is True, owner
            assert security["capabilities"] == {"drop": ["ALL"]}, owner
            assert re.search(r":[0-9]", container["image"]), f"{owner} {container['image']} has no version"


def test_autoscalers_have_sound_bounds_and_own_the_replicas(whole: list[Manifest]) -> None:
    deployments = {item["metadata"]["name"]: item for item in of_kind(whole, "Deployment")}
    scalers = [
        (item["spec"]["scaleTargetRef"]["name"], item["spec"]["minReplicas"], item["spec"]["maxReplicas"])
        for item in of_kind(whole, "HorizontalPodAutoscaler")
    ] + [
        (
            item["spec"]["scaleTargetRef"]["name"],
            item["spec"]["minReplicaCount"],
            item["spec"]["maxReplicaCount"],
        )
        for item in of_kind(whole, "ScaledObject")
    ]
    assert {name for name, _, _ in scalers} == {"gateway", "tf-serving"}
    for name, least, most in scalers:
        assert 2 <= least < most  # one pod has no room for a disruption
        assert "replicas" not in deployments[name]["spec"]
    for item in of_kind(whole, "ScaledObject"):
        assert (
            item["spec"]["minReplicaCount"]
            <= item["spec"]["fallback"]["replicas"]
            <= item["spec"]["maxReplicaCount"]
        )


def test_the_autoscaler_asks_for_a_series_that_a_rule_records(whole: list[Manifest]) -> None:
    recorded = {
        rule["record"]
        for item in of_kind(whole, "PrometheusRule")
        for group in item["spec"]["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    for item in of_kind(whole, "ScaledObject"):
        for trigger in item["spec"]["triggers"]:
            assert set(re.findall(r"sightline:[\w:]+", trigger["metadata"]["query"])) <= recorded


def test_only_the_gateway_reaches_serving_and_only_monitoring_its_metrics(whole: list[Manifest]) -> None:
    policies = {item["metadata"]["name"]: item["spec"] for item in of_kind(whole, "NetworkPolicy")}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    pods = dict(templates(whole))
    serving = pods["Deployment/tf-serving"]["metadata"]["labels"]
    allowed: dict[int, list[Manifest]] = {}
    for spec in policies.values():
        if selects(spec["podSelector"], serving):
            for rule in spec.get("ingress", []):
                for port in rule["ports"]:
                    allowed.setdefault(port["port"], []).extend(rule["from"])
    reaching = {
        owner for owner, pod in pods.items()
        for peer in allowed[8500] if selects(peer["podSelector"], pod["metadata"]["labels"])
    }  # fmt: skip
    assert reaching == {"Deployment/gateway"}
    assert allowed[8501] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]


def test_every_network_policy_picks_a_pod(whole: list[Manifest]) -> None:
    pods = [template["metadata"]["labels"] for _, template in templates(whole)]
    for policy in of_kind(whole, "NetworkPolicy"):
        assert any(selects(policy["spec"]["podSelector"], labels) for labels in pods), policy["metadata"][
            "name"
        ]


def test_the_ingress_forwards_the_public_addresses_and_no_other() -> None:
    manifests = build(K8S / "overlays" / "production-gpu")
    (ingress,) = of_kind(manifests, "Ingress")
    paths = [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    services = {item["metadata"]["name"]: item for item in of_kind(manifests, "Service")}
    for path in paths:
        backend = path["backend"]["service"]
        assert backend["port"]["name"] in {
            port["name"] for port in services[backend["name"]]["spec"]["ports"]
        }

    def forwarded(address: str) -> bool:
        return any(
            address == path["path"]
            or (path["pathType"] == "Prefix" and address.startswith(path["path"] + "/"))
            for path in paths
        )

    app = create_app(Settings(model="droids", serving="127.0.0.1:1"))
    private = {"/metrics", "/healthz", "/readyz"}
    addresses = {rule.rule for rule in app.url_map.iter_rules()}
    assert {address for address in addresses if not forwarded(address)} == private


def test_the_gpu_is_asked_for_and_its_node_is_tolerated(whole: list[Manifest]) -> None:
    spec = dict(templates(whole))["Deployment/tf-serving"]["spec"]
    (container,) = spec["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["image"].endswith("-gpu")
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    assert spec["nodeSelector"]


def test_a_cpu_for_each_picture_and_a_gpu_for_many(manifests: list[Manifest]) -> None:
    """On CPUs as many pictures are at work as there are CPUs; on a GPU batches have few sizes."""
    (container,) = dict(templates(manifests))["Deployment/tf-serving"]["spec"]["containers"]
    (text,) = (
        item["data"]["batching.config"]
        for item in of_kind(manifests, "ConfigMap")
        if "batching.config" in item.get("data", {})
    )
    batching = text_format.Parse(text, serving_config_pb2.BatchingParameters())
    alone = "--tensorflow_intra_op_parallelism=1" in container["args"]
    limits = container["resources"]["limits"]
    assert alone is ("nvidia.com/gpu" not in limits)
    if alone:
        assert batching.max_execution_batch_size.value == 1
        assert batching.num_batch_threads.value == quantity(limits["cpu"])
    else:
        assert not any("intra_op" in argument for argument in container["args"])
        assert batching.allowed_batch_sizes[-1] == batching.max_batch_size.value > 1


def test_the_rule_manifest_is_what_the_rule_files_say() -> None:
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "k8s/prometheus_rules.py"), "--check"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
