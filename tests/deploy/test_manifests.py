"""The manifests: every overlay and combination builds, fits the schemas, and hangs together."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from google.protobuf import text_format
from support.manifests import (
    COMPONENTS,
    K8S,
    OVERLAYS,
    REPOSITORY,
    Manifest,
    build,
    combine,
    names,
    of_kind,
    quantity,
    selects,
    templates,
)
from support.rayjob_schema import RAY_JOB

from sightline_serving.gateway.app import create_app
from sightline_serving.gateway.settings import Settings, variable
from sightline_serving.model_server.options import every_flag

KUBERNETES = "1.32"
# Made outside of the manifests: secrets by a person or an operator, lists by whoever starts a batch.
OUTSIDE_SECRETS = {
    "gateway-api-keys",
    "gateway-serving-tls",
    "tf-serving-tls",
    "sightline-tls",
    "batch-api-key",
}
OUTSIDE_CONFIG = {"batch-lists", "batch-ray-lists"}
# canary and shadow each bring their own labels for the same file
APART = {frozenset({"canary", "shadow"})}
CLIENT_VARIABLES = {"SIGHTLINE_API_KEY", "SIGHTLINE_GATEWAY"}


def _together() -> list[str]:
    return [name for name in COMPONENTS if name != "shadow"]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """The base with every component at once."""
    return combine(tmp_path_factory.mktemp("whole"), _together())


@pytest.fixture(scope="session", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> list[Manifest]:
    return build(K8S / "overlays" / request.param)


@pytest.fixture(scope="session", params=["local", "production-gpu", "every component", "shadow"])
def manifests(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, whole: list[Manifest]
) -> list[Manifest]:
    if request.param == "every component":
        return whole
    if request.param == "shadow":
        return combine(tmp_path_factory.mktemp("shadow"), ["shadow"])
    return build(K8S / "overlays" / request.param)


@pytest.mark.parametrize("component", COMPONENTS)
def test_each_component_builds_alone_and_adds_or_changes_something(component: str, tmp_path: Path) -> None:
    assert combine(tmp_path / "with", [component]) != combine(tmp_path / "without", [])


@pytest.mark.slow
@pytest.mark.parametrize("pair", [*itertools.combinations(COMPONENTS, 2)], ids="+".join)
def test_each_pair_of_components_builds_in_either_order(pair: tuple[str, str], tmp_path: Path) -> None:
    if frozenset(pair) in APART:
        pytest.skip("both label the versions; choose one")
    one, other = combine(tmp_path / "one", pair), combine(tmp_path / "other", pair[::-1])

    def key(manifest: Manifest) -> str:
        return json.dumps([manifest["kind"], manifest["metadata"]["name"]])

    assert [key(item) for item in sorted(one, key=key)] == [key(item) for item in sorted(other, key=key)]


def test_no_two_objects_have_the_same_name(manifests: list[Manifest]) -> None:
    keys = [(item["kind"], item["metadata"]["name"]) for item in manifests]
    assert len(keys) == len(set(keys))


def test_everything_is_in_the_namespace(manifests: list[Manifest]) -> None:
    for item in manifests:
        if item["kind"] != "Namespace":
            assert item["metadata"].get("namespace") == "sightline", item["metadata"]["name"]


# --- schemas ---------------------------------------------------------------------------------------


def _strict(schema: Any) -> Any:
    """The same schema, refusing fields that it does not name."""
    if isinstance(schema, dict):
        # A pattern in Go's manner, `^(?i)…`, is none in Python's.
        kept = {
            key: value for key, value in schema.items() if not (key == "pattern" and "(?i)" in str(value))
        }
        strict = {key: _strict(value) for key, value in kept.items()}
        if strict.get("type") == "object" and "properties" in strict:
            strict.setdefault("additionalProperties", False)
        return strict
    return [_strict(item) for item in schema] if isinstance(schema, list) else schema


def _custom_schemas() -> dict[str, Any]:
    from cloudcoil.models.keda.v1alpha1 import ScaledObject
    from cloudcoil.models.prometheus_operator.v1 import PrometheusRule, ServiceMonitor

    models = {
        "ScaledObject": ScaledObject,
        "PrometheusRule": PrometheusRule,
        "ServiceMonitor": ServiceMonitor,
    }
    schemas = {kind: _strict(model.model_json_schema(by_alias=True)) for kind, model in models.items()}
    return {**schemas, "RayJob": RAY_JOB}


CUSTOM = _custom_schemas()


def _validate(manifest: Manifest) -> None:
    if manifest["kind"] in CUSTOM:
        jsonschema.validate(manifest, CUSTOM[manifest["kind"]])
    else:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_every_object_fits_its_schema_strictly(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        _validate(manifest)


def test_pod_templates_inside_custom_objects_fit_the_core_schema(whole: list[Manifest]) -> None:
    found = [template for owner, template in templates(whole) if owner.startswith("RayJob/")]
    assert len(found) == 2
    for template in found:
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": template}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def _misspellings() -> Iterator[tuple[str, list[Any]]]:
    yield "Deployment", ["spec", "template", "spec", "containers", 0]
    yield "ScaledObject", ["spec"]
    yield "ScaledObject", ["spec", "triggers", 0]
    yield "ServiceMonitor", ["spec", "endpoints", 0]
    yield "PrometheusRule", ["spec", "groups", 0, "rules", 0]
    yield "RayJob", ["spec", "rayClusterSpec", "headGroupSpec"]


@pytest.mark.parametrize(("kind", "path"), [*_misspellings()], ids=str)
def test_the_schemas_refuse_a_misspelt_field(whole: list[Manifest], kind: str, path: list[Any]) -> None:
    manifest = json.loads(json.dumps(of_kind(whole, kind)[0]))
    place = manifest
    for step in path:
        place = place[step]
    place["mispelt"] = "x"
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        _validate(manifest)


# --- what schemas miss -----------------------------------------------------------------------------


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
    for name, value in values.items():  # files come from secrets; any will do here
        if value.startswith("/etc/sightline/"):
            stand_in = tmp_path / name
            stand_in.write_text("someone: 0123456789abcdef0123456789abcdef\n")
            values[name] = str(stand_in)
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


def test_the_gpu_is_asked_for_and_its_node_is_tolerated(whole: list[Manifest]) -> None:
    spec = dict(templates(whole))["Deployment/tf-serving"]["spec"]
    (container,) = spec["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["image"].endswith("-gpu")
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    assert spec["nodeSelector"]


def test_the_rule_manifest_is_what_the_rule_files_say() -> None:
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "k8s/prometheus_rules.py"), "--check"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
