"""Every object of the manifests fits its schema, and the schemas refuse what is misspelt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from support.manifests import (
    Manifest,
    of_kind,
    templates,
)
from support.rayjob_schema import RAY_JOB

KUBERNETES = "1.32"


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
    # New in KEDA 2.17; the package has 2.16.
    schemas["ScaledObject"]["$defs"]["Fallback"]["properties"]["behavior"] = {
        "enum": ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]
    }
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
