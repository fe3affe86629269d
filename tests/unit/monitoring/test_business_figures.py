"""CTR, conversion and coverage from a log by hand, and what jobs leave behind as metrics."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generated_shop import write_shop
from prometheus_client.parser import text_string_to_metric_families
from promtool import needs_prometheus, promtool

from feature_repo.core.errors import NotMeasurable, SettingsRefused
from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.declaration import load_dataset
from feature_repo.dataset.prepare import prepare
from feature_repo.dataset.received import RECEIVED_SCHEMA
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from monitoring.dashboards.business import BusinessSettings, business_settings, write_business
from monitoring.dashboards.exporter import ReportsCollector, serving_metrics

NOW = datetime(2026, 5, 2, tzinfo=UTC)
SERVED = NOW - timedelta(hours=3)
SETTINGS = BusinessSettings()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("business")
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    prepare(load_dataset(str(write_shop(folder))), workspace, now=NOW)
    return workspace


@pytest.fixture
def workspace(shop: Workspace, tmp_path: Path) -> Workspace:
    """The shop's events with a request log and received events of its own."""
    found = Workspace(root=tmp_path, store=tmp_path / "store")
    found.events.parent.mkdir(parents=True)
    for path in shop.events.parent.iterdir():
        (found.events.parent / path.name).symlink_to(path)
    return found


def serve(workspace: Workspace, requests: Sequence[tuple[str, datetime, str, list[str]]]) -> None:
    """Log requests of (id, when, model version, slate)."""
    filler: dict[str, Any] = {"degraded": [], "candidates": [], "sources": [], "scores": [], "features": []}
    rows = [
        {
            **filler,
            "request_id": name,
            "received_at": at,
            "moment": at,
            "user_id": "p",
            "variant": "stable",
            "model_version": version,
            "k": len(slate),
            "slate": slate,
            "feature_names": [],
        }
        for name, at, version, slate in requests
    ]
    workspace.request_log.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, REQUEST_LOG_SCHEMA), workspace.request_log / "log.parquet")


def receive(workspace: Workspace, events: Sequence[tuple[str, str, str, datetime]]) -> None:
    """Events of (request, item, type, when); one that is given twice has the same id."""
    rows = [
        {
            "event_id": f"{request}-{item}-{kind}",
            "user_id": "p1",
            "item_id": item,
            "timestamp": at,
            "event_type": kind,
            "request_id": request,
            "context": {},
        }
        for request, item, kind, at in events
    ]
    workspace.received.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, RECEIVED_SCHEMA), workspace.received / "one.parquet")


def gauges(path: Path) -> dict[tuple[str, str], float]:
    """Value by name and model version."""
    families = text_string_to_metric_families(path.read_text())
    return {(s.name, s.labels.get("model_version", "")): s.value for family in families for s in family.samples}


def test_rates_are_those_of_a_log_by_hand(workspace: Workspace) -> None:
    soon, late = SERVED + timedelta(minutes=1), SERVED + timedelta(hours=2)
    serve(
        workspace, [("r1", SERVED, "1", ["t0", "t1"]), ("r2", SERVED, "1", ["t0", "t2"]), ("r3", SERVED, "2", ["t3"])]
    )
    receive(
        workspace,
        [
            ("r1", "t0", "view", soon),
            ("r1", "t0", "view", soon),
            ("r1", "t1", "buy", soon),
            ("r2", "t0", "hide", soon),
            ("r2", "t9", "buy", soon),
            ("r3", "t3", "buy", late),
        ],
    )

    found = gauges(write_business(workspace, SETTINGS, now=NOW))

    assert (found["business_requests", "1"], found["business_impressions", "1"]) == (2, 4)
    assert (found["business_clicks", "1"], found["business_conversions", "1"]) == (2, 1)
    assert (found["business_click_rate", "1"], found["business_conversion_rate", "1"]) == (0.5, 0.25)
    assert found["business_catalogue_coverage", "1"] == pytest.approx(3 / 90)
    assert (found["business_clicks", "2"], found["business_click_rate", "2"]) == (0, 0)
    assert found["business_made_timestamp_seconds", ""] == NOW.timestamp()
    assert found["business_window_seconds", ""] == 86_400


def test_requests_whose_window_is_not_over_or_that_are_older_than_the_window_do_not_count(workspace: Workspace) -> None:
    young, old = NOW - timedelta(minutes=59), NOW - timedelta(hours=26)
    serve(workspace, [("r1", SERVED, "1", ["t0"]), ("r2", young, "1", ["t0"]), ("r3", old, "1", ["t0"])])

    found = gauges(write_business(workspace, SETTINGS, now=NOW))

    assert found["business_requests", "1"] == 1


def test_a_log_without_requests_in_the_window_gives_no_figures(workspace: Workspace) -> None:
    with pytest.raises(NotMeasurable, match=r"^business figures need requests of the 24 hours before the attribution"):
        write_business(workspace, SETTINGS, now=NOW)

    assert not (workspace.reports / "business.prom").exists()


def test_a_window_of_no_hours_is_refused() -> None:
    with pytest.raises(SettingsRefused, match=r"^window_hours: Input should be greater than 0; got 0$"):
        business_settings(0, 1)


def test_reports_become_verdicts_and_ages_and_a_damaged_file_is_a_metric(tmp_path: Path) -> None:
    rows = [{"model": "two-stage", "version": "2", "metric": "ndcg@10", "value": 0.11}]
    write_json(tmp_path / "evaluation.json", {"metrics": [*rows, {"model": "ease", "version": "2"}]})
    write_json(tmp_path / "drift.json", {"verdict": "FAIL", "made_at": "1970-01-01T00:01:00+00:00"})
    write_json(tmp_path / "notes.json", {"verdict": "PASS"})
    (tmp_path / "skew.json").write_text("[1]")
    (tmp_path / "broken.prom").write_text("a b c d\n")
    (tmp_path / "one.prom").write_text("# TYPE x gauge\nx 1\n")
    (tmp_path / "two.prom").write_text("# TYPE x gauge\nx 2\n# TYPE y gauge\ny 3\n")

    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in ReportsCollector(tmp_path).collect()
        for sample in family.samples
    }

    assert found["report_verdict", "drift", "FAIL"] == 1
    assert found["report_verdict", "drift", "PASS"] == 0
    assert found["report_made_timestamp_seconds", "drift"] == 60
    assert found["report_made_timestamp_seconds", "evaluation"] == (tmp_path / "evaluation.json").stat().st_mtime
    assert found["replay_quality", "two-stage", "2", "ndcg@10"] == 0.11
    assert found["report_unreadable", "skew.json"] == found["report_unreadable", "broken.prom"] == 1
    assert (found["x",], found["y",]) == (1, 3)
    assert not any("notes" in key for key in found)
    assert json.loads((tmp_path / "skew.json").read_text()) == [1]


@needs_prometheus
def test_promtool_finds_nothing_to_say_about_what_is_exported(workspace: Workspace) -> None:
    import urllib.request

    serve(workspace, [("r1", SERVED, "1", ["t0"])])
    write_business(workspace, SETTINGS, now=NOW)
    write_json(workspace.reports / "drift.json", {"verdict": "PASS"})

    with serving_metrics(workspace.reports) as port:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()

    assert 'business_click_rate{model_version="1",variant="stable"} 0.0' in text
    assert promtool("check", "metrics", stdin=text) == ""
