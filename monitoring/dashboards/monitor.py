"""`make monitor`: a local Prometheus that scrapes the service and the reports, until it is told to stop."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from feature_repo.core.workspace import Workspace
from monitoring.dashboards.exporter import HOST, serving_metrics
from monitoring.dashboards.grafana import write_dashboards
from monitoring.dashboards.prometheus import configuration, program, rule_file, running_prometheus

SERVICE, REPORTS = "recommender", "reports"
LOOK_SECONDS = 0.5


def monitor(
    workspace: Workspace, *, port: int, own_port: int, every_seconds: float, say: Callable[[str], None]
) -> None:
    """Scrape the service on `port` and this workspace's reports until SIGINT or SIGTERM.

    Raises:
        MonitorFailed: Prometheus is not installed, did not start, or ended by itself.
    """
    program()
    folder = workspace.root / "prometheus"
    boards = write_dashboards(folder / "dashboards")
    with stop_signal() as stopped, rule_file() as rules, serving_metrics(workspace.reports) as exporter:
        targets = {SERVICE: [f"{HOST}:{port}"], REPORTS: [f"{HOST}:{exporter}"]}
        text = configuration(targets, [rules], every_seconds=every_seconds)
        with running_prometheus(folder, text, port=own_port) as prometheus:
            for line in _opening(prometheus.url, targets, boards[0].parent):
                say(line)
            while not stopped.wait(LOOK_SECONDS):
                if prometheus.process.poll() is not None:
                    raise prometheus.ended()
    say("stopped")


def _opening(url: str, targets: dict[str, list[str]], boards: Path) -> list[str]:
    scraped = ", ".join(f"{job} at {address}" for job, (address,) in targets.items())
    return [
        f"Prometheus: {url} (alerts: {url}/alerts, targets: {url}/targets)",
        f"It scrapes {scraped}.",
        f"Dashboards for Grafana: {boards}",
        "In Grafana: add a Prometheus data source with the address above, then Dashboards, New, Import, upload a file.",
        "Ctrl-C ends it.",
    ]


@contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set inside the block."""
    stopped = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
