"""`python -m monitoring monitor` on the real binary over a real service: what it scrapes, and what it leaves behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from promtool import RULES, board_expressions, metrics_in, needs_prometheus, promtool

from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from monitoring.dashboards.business import BusinessSettings, write_business
from monitoring.drift.exposition import write_exposition
from serving.process import RunningServer, call, running_server

pytestmark = [pytest.mark.integration, needs_prometheus]

# Of what only a data set with several event types has, or only an event that was lost.
NOT_HERE = {"business_conversions", "business_conversion_rate"}


@dataclass
class Monitored:
    """A workspace with a service and a monitor over both."""

    workspace: Workspace
    service: RunningServer
    process: "subprocess.Popen[str]"
    url: str
    said: list[str]

    def ask(self, path: str, **parameters: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def wait_for(self, path: str, holds: Callable[[Any], object], **parameters: str) -> Any:
        deadline = time.monotonic() + 30
        while not holds(found := self.ask(path, **parameters)):
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found


@pytest.fixture(scope="module")
def monitored(
    copy_of_world: Callable[[Path], Workspace], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Monitored]:
    workspace = copy_of_world(tmp_path_factory.mktemp("monitored") / "build")
    write_business_figures(workspace)
    write_json(workspace.reports / "evaluation.json", evaluation())
    write_json(workspace.reports / "drift.json", drift())
    write_exposition(drift(), workspace.reports)
    with running_server(workspace, version="1") as service:
        for body in ({"user_id": "u1"}, {"user_id": "nobody"}):
            assert call(service.port, "POST", "/recommend", json.dumps(body).encode()).status == 200
        command = [sys.executable, "-m", "monitoring", "monitor", "--port", str(service.port), "--every", "0.3"]
        environment = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                said = [process.stdout.readline().strip() for _ in range(5)]
                yield Monitored(workspace, service, process, said[0].split()[1], said)
            finally:
                process.terminate()


def write_business_figures(workspace: Workspace) -> None:
    now = datetime.now(UTC)
    at = now - timedelta(hours=2)
    row: dict[str, Any] = {"request_id": "r", "received_at": at, "moment": at, "user_id": "p", "variant": "stable"}
    row |= {"model_version": "1", "k": 1, "slate": ["i1"], "degraded": []}
    row |= {name: [] for name in ("candidates", "sources", "scores", "features", "feature_names")}
    workspace.request_log.mkdir()
    pq.write_table(pa.Table.from_pylist([row], REQUEST_LOG_SCHEMA), workspace.request_log / "old.parquet")
    write_business(workspace, BusinessSettings(), now=now)


def evaluation() -> dict[str, Any]:
    return {"metrics": [{"model": "two-stage", "version": "1", "metric": "ndcg@10", "value": 0.1}]}


def drift() -> dict[str, Any]:
    column = {"column": "user_age", "shift": 0.1, "shift_threshold": 0.3, "distance": 0.1, "distance_threshold": 0.2}
    columns = [{**column, "expected": False, "drifted": False}]
    made = datetime.now(UTC).isoformat()
    about = {"version": "1", "verdict": "PASS", "made_at": made, "columns": columns}
    return {**about, "reference_rows": 1, "current_rows": 1}


def test_it_says_where_to_look_and_both_targets_are_up(monitored: Monitored) -> None:
    found = monitored.wait_for(
        "/api/v1/targets", lambda data: {t["health"] for t in data["activeTargets"]} == {"up"}, state="active"
    )

    assert {target["labels"]["job"] for target in found["activeTargets"]} == {"recommender", "reports"}
    assert re.match(r"Prometheus: http://127\.0\.0\.1:\d+ \(alerts: ", monitored.said[0])
    boards = Path(monitored.said[2].removeprefix("Dashboards for Grafana: "))
    assert len(list(boards.glob("*.json"))) == 4
    assert monitored.said[4] == "Ctrl-C ends it."


def test_the_rules_are_loaded_and_none_of_them_fails(monitored: Monitored) -> None:
    def evaluated(data: Any) -> bool:
        return all(rule["health"] == "ok" for group in data["groups"] for rule in group["rules"])

    found = monitored.wait_for("/api/v1/rules", evaluated)

    expected = [group["name"] for group in yaml.safe_load(RULES.read_text())["groups"]]
    assert sorted(group["name"] for group in found["groups"]) == sorted(expected)


def test_every_metric_of_a_dashboard_or_a_rule_is_really_scraped(monitored: Monitored) -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    wanted = set().union(*map(metrics_in, [*board_expressions(), *(rule["expr"] for rule in rules)]))
    recorded = {rule["record"] for rule in rules if "record" in rule}
    monitored.wait_for("/api/v1/label/__name__/values", lambda names: "job:recommend_requests:rate5m" in names)

    names = set(monitored.ask("/api/v1/label/__name__/values"))
    # A counter whose labels never occurred has no series yet, and is known by its description.
    known = names | set(monitored.ask("/api/v1/metadata")) | recorded | NOT_HERE

    assert len(wanted) > 30
    assert wanted - known == set()


def test_every_query_of_a_dashboard_is_answered(monitored: Monitored) -> None:
    answers = {expr: monitored.ask("/api/v1/query", query=expr)["resultType"] for expr in board_expressions()}

    assert set(answers.values()) == {"vector"}


def test_promtool_finds_nothing_to_say_about_what_the_service_exposes(monitored: Monitored) -> None:
    text = call(monitored.service.port, "GET", "/metrics").body.decode()

    assert promtool("check", "metrics", stdin=text) == ""


def test_a_report_that_fails_fires_its_alert_with_a_runbook(monitored: Monitored) -> None:
    write_json(monitored.workspace.reports / "fairness.json", {"verdict": "FAIL"})

    found = monitored.wait_for(
        "/api/v1/alerts",
        lambda data: [a for a in data["alerts"] if a["labels"].get("report") == "fairness" and a["state"] == "firing"],
    )

    [alert] = [alert for alert in found["alerts"] if alert["labels"].get("report") == "fairness"]
    assert alert["labels"]["alertname"] == "ReportFails"
    assert alert["annotations"]["summary"] == "The last report on fairness says FAIL."
    assert alert["annotations"]["runbook"].startswith("Open the report")


def test_at_its_end_no_process_is_left(monitored: Monitored) -> None:
    folder = str(monitored.workspace.root / "prometheus")
    before = processes_that_name(folder)

    monitored.process.send_signal(signal.SIGINT)
    status = monitored.process.wait(30)

    assert before
    assert status == 0
    assert processes_that_name(folder) == []


def processes_that_name(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found
