"""What the autoscaler's query gives, as Prometheus reckons it: under load, idle, with the metrics lost."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.manifests import REPOSITORY, Manifest, of_kind
from support.tools import tool

RULES = REPOSITORY / "docker/monitoring/rules/recording.yaml"
QUEUED = ":tensorflow:serving:batching_session:queuing_latency"
UP = {"series": 'up{job="sightline-serving",namespace="sightline",pod="a"}'}


def _queue(total: str, count: str, namespace: str = "sightline") -> list[dict[str, str]]:
    return [
        {"series": f'{{__name__="{QUEUED}_{part}",namespace="{namespace}"}}', "values": values}
        for part, values in (("sum", total), ("count", count))
    ]


CASES = {
    "50 ms in the queue": ([*_queue("0+5000000x40", "0+100x40"), {**UP, "values": "1x40"}], [50]),
    "nobody asks": ([*_queue("7x40", "1x40"), {**UP, "values": "1x40"}], [0]),
    "nobody has asked yet": ([{**UP, "values": "1x40"}], [0]),
    # No value at all: KEDA counts a failure, and four of them bring the fallback's pods.
    "Serving is no longer scraped": ([*_queue("0+5000000x10", "0+100x10"), {**UP, "values": "1x10"}], []),
    "no pod of Serving answers": ([*_queue("0+5000000x10", "0+100x10"), {**UP, "values": "0x40"}], []),
    "another namespace's queue": (
        [*_queue("0+5000000x40", "0+100x40", "other"), {**UP, "values": "1x40"}],
        [0],
    ),
}


def _trigger(manifests: list[Manifest]) -> dict[str, Any]:
    (scaler,) = of_kind(manifests, "ScaledObject")
    (trigger,) = scaler["spec"]["triggers"]
    metadata: dict[str, Any] = trigger["metadata"]
    return metadata


@pytest.mark.parametrize(("series", "values"), CASES.values(), ids=CASES)
def test_the_query_gives_milliseconds_or_nothing(
    series: list[dict[str, str]], values: list[float], whole: list[Manifest], tmp_path: Path
) -> None:
    samples = [{"labels": "{}", "value": value} for value in values]
    asked = {"expr": f"round({_trigger(whole)['query']})", "eval_time": "20m", "exp_samples": samples}
    file = tmp_path / "query.test.yaml"
    test = {"interval": "30s", "input_series": series, "promql_expr_test": [asked]}
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": [test]}))
    done = subprocess.run(
        [tool("promtool"), "test", "rules", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_pod_is_taken_away_because_the_metrics_are_lost(whole: list[Manifest]) -> None:
    """Which would look like an idle service, or like one for the fallback's few pods."""
    (scaler,) = of_kind(whole, "ScaledObject")
    assert _trigger(whole)["ignoreNullValues"] == "false"
    assert scaler["spec"]["fallback"]["behavior"] == "currentReplicasIfHigher"
