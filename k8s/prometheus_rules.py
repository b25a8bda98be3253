"""Writes the Prometheus operator's PrometheusRule from the plain rule files that compose's Prometheus reads.

python k8s/prometheus_rules.py          write it
python k8s/prometheus_rules.py --check  exit 1 if it is not what the rule files say
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
RULES = HERE.parent / "docker/monitoring/rules"
MANIFEST = HERE / "components/monitoring/prometheus-rules.yaml"
HEAD = "# Made from docker/monitoring/rules by k8s/prometheus_rules.py (`make manifests`); change it there.\n"


def manifest() -> str:
    """The PrometheusRule as text."""
    groups = [
        group
        for file in sorted(RULES.glob("*.yaml"))
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    ]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "sightline"},
        "spec": {"groups": groups},
    }
    return HEAD + yaml.safe_dump(rule, sort_keys=False, width=1000, allow_unicode=True)


def main() -> int:
    """Write or check."""
    text = manifest()
    if "--check" in sys.argv[1:]:
        current = MANIFEST.exists() and MANIFEST.read_text(encoding="utf-8") == text
        if not current:
            print(f"{MANIFEST} is out of date; run `make manifests`", file=sys.stderr)
        return 0 if current else 1
    MANIFEST.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
