"""What jobs leave behind, as metrics: their .prom files, and the verdict and age of every report.

A job is over before anybody scrapes it, so it writes a file and this gives the file to Prometheus, as node_exporter's
textfile collector does. Files are read at each scrape; one that cannot be read is a metric itself, and never a gap.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from monitoring.reports_index import REPORTS
from training.verdict import Verdict

HOST = "127.0.0.1"
MODELS = ("two-stage", "popular-30d")


class ReportsCollector(Collector):
    """The metrics of one folder of reports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        unreadable = GaugeMetricFamily("report_unreadable", "1 for a file that cannot be read", labels=["file"])
        unreadable.add_metric([""], 0)
        families: dict[str, Metric] = {}
        for path in sorted(self._folder.glob("[!.]*.prom")):
            try:
                found = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
            except (OSError, ValueError):
                unreadable.add_metric([path.name], 1)
                continue
            # A family may not come twice, so the first file that has it keeps it.
            for family in found:
                families.setdefault(family.name, family)
        yield from families.values()
        reports, damaged = _read(self._folder)
        for name in damaged:
            unreadable.add_metric([name], 1)
        yield unreadable
        yield from _of_reports(reports)


def _read(folder: Path) -> tuple[Mapping[str, Mapping[str, Any]], list[str]]:
    reports, damaged = {}, []
    for path in sorted(folder.glob("[!.]*.json")):
        if not any(report.holds(path.stem) for report in REPORTS):
            continue
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            value = None
        if isinstance(value, dict):
            reports[path.stem] = {"_written": path.stat().st_mtime, **value}
        else:
            damaged.append(path.name)
    return reports, damaged


def _of_reports(reports: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    verdicts = GaugeMetricFamily("report_verdict", "1 for the verdict of a report", labels=["report", "verdict"])
    made = GaugeMetricFamily("report_made_timestamp_seconds", "When a report was made", labels=["report"])
    for name, report in reports.items():
        made.add_metric([name], _made_at(report))
        if "verdict" in report:
            # All three, so that one which is over is 0 and not a series that went away.
            for verdict in Verdict:
                verdicts.add_metric([name, str(verdict)], float(report["verdict"] == verdict))
    quality = GaugeMetricFamily(
        "replay_quality", "A metric of the last evaluation in replay", labels=["model", "model_version", "metric"]
    )
    for row in _rows(reports.get("evaluation", {})):
        quality.add_metric([row["model"], str(row["version"]), row["metric"]], row["value"])
    yield from (verdicts, made, quality)


def _rows(evaluation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for row in evaluation.get("metrics") or ():
        if row.get("model") in MODELS and isinstance(row.get("value"), float | int):
            yield row


def _made_at(report: Mapping[str, Any]) -> float:
    """The moment that a report names, else when its file was written."""
    try:
        return datetime.fromisoformat(str(report["made_at"])).timestamp()
    except (KeyError, ValueError):
        return float(report["_written"])


@contextmanager
def serving_metrics(folder: Path, *, host: str = HOST, port: int = 0) -> Iterator[int]:
    """Serve the metrics of `folder` on `/metrics` inside the block; yields the port."""
    registry = CollectorRegistry()
    registry.register(ReportsCollector(folder))
    server, thread = start_http_server(port, addr=host, registry=registry)
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
