"""Dashboards and rules as code: what Grafana and Prometheus ask of them, without either running."""

import json
import re
import signal
import socket
import sys
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from promtool import RULES, board_expressions, metrics_in, needs_prometheus, promtool

from feature_repo.core.console import run
from feature_repo.core.workspace import Workspace
from monitoring.__main__ import app
from monitoring.dashboards.grafana import GRID, write_dashboards
from monitoring.dashboards.monitor import monitor, stop_signal
from monitoring.dashboards.prometheus import MonitorFailed, configuration, running_prometheus

TESTS = (RULES.with_name("rules_test.yaml"), RULES.with_name("rules_slow_test.yaml"))


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    paths = write_dashboards(tmp_path_factory.mktemp("boards"))
    return [json.loads(path.read_text()) for path in paths]


def test_there_is_a_dashboard_for_service_features_model_and_business(boards: list[dict[str, Any]]) -> None:
    uids = [board["uid"] for board in boards]

    assert uids == [f"recommender-{name}" for name in ("service", "features", "model", "business")]
    assert all(len(uid) <= 40 for uid in uids)
    assert all(isinstance(board["schemaVersion"], int) and board["title"] for board in boards)


def test_panels_have_ids_of_their_own_and_lie_on_the_grid_without_overlap(boards: list[dict[str, Any]]) -> None:
    for board in boards:
        panels = board["panels"]
        ids = [panel["id"] for panel in panels]
        places = [panel["gridPos"] for panel in panels]

        assert len(set(ids)) == len(ids)
        assert all(p["x"] >= 0 and p["x"] + p["w"] <= GRID and p["w"] > 0 and p["h"] > 0 for p in places)
        for one, other in combinations(places, 2):
            apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert apart or above
        assert all(one["y"] <= other["y"] for one, other in pairwise(places))


def test_every_panel_asks_the_chosen_data_source_and_names_its_queries_apart(boards: list[dict[str, Any]]) -> None:
    variables = {variable["name"] for board in boards for variable in board["templating"]["list"]}
    panels = [panel for board in boards for panel in board["panels"]]

    assert variables == {"datasource"}
    for panel in panels:
        references = [target["refId"] for target in panel["targets"]]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len(set(references)) == len(references) > 0


def test_every_alert_has_a_severity_a_summary_a_runbook_line_and_a_test() -> None:
    tested = "\n".join(path.read_text() for path in TESTS)
    names = [alert["alert"] for alert in alerts()]

    assert len(set(names)) == len(names)
    for alert in alerts():
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["annotations"]["summary"].endswith(".")
        assert re.match(r"(Look|Open|Run) .+\.$", alert["annotations"]["runbook"])
        assert f'"{alert["alert"]}"' in tested, alert["alert"]


def test_metrics_are_told_from_functions_labels_and_words() -> None:
    expression = (
        'sum by (job, le) (rate(a_total{code=~"5.."}[5m])) / on (job) group_left () b:c:d and max(e) > 2 * time()'
    )

    found = metrics_in(expression)

    assert found == {"a_total", "b:c:d", "e"}


@needs_prometheus
def test_promtool_accepts_the_rules_and_their_tests_pass() -> None:
    promtool("check", "rules", str(RULES))
    promtool("test", "rules", *map(str, TESTS))


@needs_prometheus
def test_every_query_of_a_dashboard_parses(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(board_expressions())]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    printed = promtool("check", "rules", str(path))

    assert f"{len(rules)} rules found" in printed


@needs_prometheus
def test_promtool_accepts_the_generated_configuration(tmp_path: Path) -> None:
    path = tmp_path / "prometheus.yml"
    path.write_text(configuration({"recommender": ["127.0.0.1:3000"]}, [RULES], every_seconds=0.5))

    printed = promtool("check", "config", str(path))

    assert "SUCCESS" in printed
    assert len(alerts()) > 20


def test_without_prometheus_the_command_says_what_to_install_and_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BUILD", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["monitoring", "monitor"])

    with pytest.raises(SystemExit) as ended:
        run(app)

    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "error: monitoring needs the program prometheus: install Debian's package of that name\n"
    )
    assert not (tmp_path / "prometheus").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_ask_for_the_end_and_their_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    with stop_signal() as stopped:
        signal.raise_signal(number)

    assert stopped.is_set()
    assert signal.getsignal(number) is before


@needs_prometheus
def test_a_prometheus_that_cannot_start_is_a_sentence_with_its_last_line(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(MonitorFailed, match=r"^prometheus ended with status 1: .*address already in use"):
            monitor(workspace, port=3000, own_port=port, every_seconds=1, say=lambda _: None)


@needs_prometheus
def test_a_prometheus_that_ends_by_itself_ends_the_command(tmp_path: Path) -> None:
    with running_prometheus(tmp_path, configuration({}, [], every_seconds=1)) as prometheus:
        prometheus.process.terminate()
        prometheus.process.wait()

        assert re.match(r"prometheus ended with status -?\d+: .*", str(prometheus.ended()))
