"""The part of KubeRay's RayJob (ray.io/v1) that the manifests use, as a JSON schema that allows nothing else.

Written from KubeRay's API reference, because no package carries the CRD itself. The pod templates within are
core Kubernetes and are examined with its own schema.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def _object(required: list[str], **properties: Schema) -> Schema:
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXT: Schema = {"type": "string", "minLength": 1}
_ANY: Schema = {"type": "object"}
# KubeRay takes every parameter as text.
_START: Schema = {"type": "object", "additionalProperties": {"type": "string"}}

RAY_JOB: Schema = _object(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=_ANY,
    spec=_object(
        ["entrypoint", "rayClusterSpec"],
        entrypoint=_TEXT,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
        backoffLimit=_COUNT,
        activeDeadlineSeconds=_COUNT,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=_COUNT,
        suspend={"type": "boolean"},
        rayClusterSpec=_object(
            ["headGroupSpec"],
            rayVersion=_TEXT,
            enableInTreeAutoscaling={"type": "boolean"},
            headGroupSpec=_object(["template"], rayStartParams=_START, template=_ANY),
            workerGroupSpecs={
                "type": "array",
                "items": _object(
                    ["groupName", "template"],
                    groupName=_TEXT,
                    replicas=_COUNT,
                    minReplicas=_COUNT,
                    maxReplicas=_COUNT,
                    rayStartParams=_START,
                    template=_ANY,
                ),
            },
        ),
    ),
)
