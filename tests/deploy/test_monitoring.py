"""Rules, dashboards and Prometheus itself, against the metrics that the services really export."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from support.fake_serving import FakeVersion, fake_serving
from support.gateways import free_port, running
from support.manifests import REPOSITORY
from support.pictures import jpeg
from support.tools import tool

from sightline_serving.gateway.app import create_app
from sightline_serving.gateway.settings import Settings
from sightline_serving.model_server.metrics import Metrics

MONITORING = REPOSITORY / "docker/monitoring"
RULES = sorted((MONITORING / "rules").glob("*.yaml"))
DASHBOARDS = sorted((MONITORING / "grafana/dashboards").glob("*.json"))
RUNBOOKS = REPOSITORY / "docs/runbooks"
WAIT_S = 60
# Grafana's own variables, as values that PromQL takes
GRAFANA = {"$__rate_interval": "5m", "$namespace": ".*"}


def _rules() -> list[dict[str, Any]]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def _panels() -> list[tuple[str, str]]:
    """Each query of each dashboard, with its panel's title."""
    found = []
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            found += [(panel["title"], target["expr"]) for target in panel.get("targets", [])]
    return found


def _plain(query: str) -> str:
    for variable, value in GRAFANA.items():
        query = query.replace(variable, value)
    return query


def _asked(query: str) -> set[str]:
    """The metrics that a query asks for."""
    quoted = set(re.findall(r'__name__="([^"]+)"', query))
    return quoted | set(re.findall(r"\bsightline[:_][\w:]+", re.sub(r'"[^"]*"', "", query)))


@pytest.fixture(scope="session")
def exported() -> set[str]:
    """Every series name that the gateway and a model server export."""
    app = create_app(
        Settings(model="droids", serving="127.0.0.1:1", label="a", shadow_label="b", shadow_share=1)
    )
    page = app.test_client().get("/metrics").text
    series: set[str] = set()
    every = [(metric.name, metric.kind) for metric in Metrics().every()]
    for name, kind in every + re.findall(r"^# TYPE (\S+) (\w+)$", page, re.MULTILINE):
        series |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return series


def test_the_gateway_exports_something(exported: set[str]) -> None:
    assert {"sightline_requests_total", ":tensorflow:serving:request_count"} <= exported


def test_every_metric_of_a_rule_is_exported_or_recorded(exported: set[str]) -> None:
    known = exported | {rule["record"] for rule in _rules() if "record" in rule}
    for rule in _rules():
        asked = _asked(rule["expr"])
        assert asked or "up{" in rule["expr"], rule
        assert asked <= known, f"{rule.get('record') or rule['alert']} asks for {asked - known}"


@pytest.mark.parametrize(("title", "query"), _panels())
def test_every_query_of_a_dashboard_asks_for_what_is_exported(
    title: str, query: str, exported: set[str]
) -> None:
    known = exported | {rule["record"] for rule in _rules() if "record" in rule}
    assert _asked(query), f"{title}: no metric in {query}"
    assert _asked(query) <= known, f"{title} asks for {_asked(query) - known}"


def test_every_query_of_a_dashboard_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"dashboard:{i}", "expr": _plain(query)} for i, (_, query) in enumerate(_panels())]
    file = tmp_path / "dashboard.yaml"
    file.write_text(
        yaml.safe_dump(
            {"groups": [{"name": "dashboard", "rules": [{**rule, "record": "a:b"} for rule in rules]}]}
        )
    )
    _run(tool("promtool"), "check", "rules", "--lint=none", str(file))


def test_the_stacks_prometheus_keeps_what_queries_look_back_for() -> None:
    command = yaml.safe_load((REPOSITORY / "docker/compose.yaml").read_text())["services"]["prometheus"][
        "command"
    ]
    (kept,) = re.findall(r"retention\.time=(\d+)d", " ".join(command))
    queries = [rule["expr"] for rule in _rules()] + [query for _, query in _panels()]
    days = [int(number) for query in queries for number in re.findall(r"\[(\d+)d\]", query)]
    assert max(days) <= int(kept)


def test_routes_that_rules_and_dashboards_name_are_routes_of_the_gateway() -> None:
    endpoints = {rule.endpoint for rule in create_app(Settings(model="droids")).url_map.iter_rules()}
    queries = [rule["expr"] for rule in _rules()] + [query for _, query in _panels()]
    patterns = {pattern for query in queries for pattern in re.findall(r'route=~?"([^"]+)"', query)}
    assert patterns
    for pattern in patterns:
        for part in pattern.split("|"):
            assert any(re.fullmatch(part, endpoint) for endpoint in endpoints), part


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    alerts = {rule["alert"]: rule for rule in _rules() if "alert" in rule}
    for name, rule in alerts.items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
        page = (RUNBOOKS / f"{name}.md").read_text()
        assert page.startswith(f"# {name}\n")
        assert {"## What it means", "## What to do"} <= set(page.splitlines()), name
        assert rule["labels"]["severity"] in {"page", "ticket"}
    assert {page.stem for page in RUNBOOKS.glob("Sightline*.md")} == set(alerts)


def test_promtool_passes_rules_their_tests_and_the_configuration() -> None:
    promtool = tool("promtool")
    _run(promtool, "check", "rules", *map(str, RULES))
    _run(promtool, "check", "config", str(MONITORING / "prometheus.yaml"))
    _run(promtool, "test", "rules", str(MONITORING / "rules.test.yaml"))
    _run(tool("amtool"), "check-config", str(MONITORING / "alertmanager.yaml"))


def test_every_alert_is_tested() -> None:
    tested = {
        case["alertname"]
        for test in yaml.safe_load((MONITORING / "rules.test.yaml").read_text())["tests"]
        for case in test.get("alert_rule_test", [])
        if case["exp_alerts"]
    }
    assert tested == {rule["alert"] for rule in _rules() if "alert" in rule}


def test_alertmanager_silences_alerts_that_exist() -> None:
    config = yaml.safe_load((MONITORING / "alertmanager.yaml").read_text())
    alerts = {rule["alert"] for rule in _rules() if "alert" in rule}
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            for part in re.search(r'"(.+)"', matcher)[1].split("|"):  # type: ignore[index]
                assert any(re.fullmatch(part, alert) for alert in alerts), part


# --- live ------------------------------------------------------------------------------------------


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts a Prometheus with our rules in front of a target; gives its URL."""
    started: list[subprocess.Popen[bytes]] = []

    def start(target: str) -> str:
        rules = tmp_path / "rules"
        rules.mkdir()
        for file in RULES:  # a test has no minute to wait
            (rules / file.name).write_text(file.read_text().replace("for: 1m", "for: 1s"))
        config = yaml.safe_load((MONITORING / "prometheus.yaml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [f"{rules}/*.yaml"]
        del config["alerting"]
        config["scrape_configs"] = [
            {**job, "static_configs": [{"targets": [target]}]}
            for job in config["scrape_configs"]
            if job["job_name"] == "sightline-gateway"
        ]
        file = tmp_path / "prometheus.yaml"
        file.write_text(yaml.safe_dump(config))
        port = free_port()
        command = [
            tool("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ]  # fmt: skip
        started.append(subprocess.Popen(command))
        return f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        process.terminate()
        process.wait(WAIT_S)


@pytest.mark.slow
def test_prometheus_scrapes_the_live_gateway_and_a_killed_one_raises_the_alert(
    prometheus: Callable[[str], str],
) -> None:
    with fake_serving({"droids": {1: FakeVersion()}}) as server, running(server.target, workers=2) as gateway:
        for _ in range(5):
            answer = httpx.post(
                f"{gateway.url}/v1/detect", content=jpeg(), headers={"Content-Type": "image/jpeg"}
            )
            assert answer.status_code == 200
        url = prometheus(gateway.url.removeprefix("http://"))
        asked = 'sum(sightline_requests_total{route="detect.detect",status="200"})'
        assert _until(lambda: _value(url, asked) == 5)
        assert _firing(url) == set()
        _kill_with_workers(gateway.process.pid)
        assert _until(lambda: "SightlineGatewayDown" in _firing(url))


def _kill_with_workers(pid: int) -> None:
    """As a node that goes: the workers too, which a SIGKILL to their parent alone would leave serving."""
    workers = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    for process in (pid, *workers):
        os.kill(process, signal.SIGKILL)


def _value(url: str, query: str) -> float | None:
    try:
        told = httpx.get(f"{url}/api/v1/query", params={"query": query}).json()["data"]["result"]
    except (httpx.HTTPError, KeyError, ValueError):
        return None  # it is still starting
    return float(told[0]["value"][1]) if told else None


def _firing(url: str) -> set[str]:
    alerts = httpx.get(f"{url}/api/v1/alerts").json()["data"]["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


def _until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
