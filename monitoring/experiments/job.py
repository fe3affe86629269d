"""The edge of experiments: request log and events from the workspace, reports into it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.received import read_received
from feature_repo.dataset.request_log import read_request_log
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from monitoring.experiments.analysis import analyse
from monitoring.experiments.declaration import read_experiment
from monitoring.experiments.impressions import Joined, join
from monitoring.experiments.record import write_report
from monitoring.experiments.report import report_of

EVENT_COLUMNS = ["event_id", "request_id", "item_id", "timestamp", "event_type", "value"]
LOG_COLUMNS = [
    "request_id",
    "received_at",
    "moment",
    "user_id",
    "variant",
    "model_version",
    "slate",
    "propensities",
    "bucket",
]


class Asked(Protocol):
    """What a join needs to be told."""

    @property
    def window(self) -> timedelta: ...

    @property
    def rewarded(self) -> tuple[str, ...]: ...


def analyse_file(workspace: Workspace, path: Path, *, now: datetime) -> Mapping[str, Any]:
    """Analyse the experiment that `path` declares, as of `now`, and write its report.

    Raises:
        SettingsRefused: the declaration breaks a rule.
        MissingArtifact: nothing was served yet.
    """
    experiment = read_experiment(path)
    joined = logged_impressions(workspace, experiment, now=now)
    report = report_of(experiment, analyse(joined, experiment, now=now), now=now)
    write_report(workspace, report)
    return report


def logged_impressions(workspace: Workspace, asked: Asked, *, now: datetime) -> Joined:
    """Everything that this workspace served, joined to what came of it.

    Raises:
        MissingArtifact: nothing was served yet.
    """
    log = read_request_log(workspace, [name for name in LOG_COLUMNS if name in REQUEST_LOG_SCHEMA.names])
    if log.num_rows == 0:
        raise MissingArtifact(f"the request log is empty: serve for a while (looked in {workspace.request_log})")
    return join(log, events_of(workspace), window=asked.window, now=now, rewarded=asked.rewarded)


def events_of(workspace: Workspace) -> pa.Table:
    """Events that name a request: those that arrived over HTTP, and those of the cleaned event log."""
    tables = [read_received(workspace).select(EVENT_COLUMNS)]
    if workspace.events.exists():
        named = pq.read_table(workspace.events, columns=EVENT_COLUMNS, filters=[("request_id", "!=", "")])
        tables.append(named.cast(tables[0].schema))
    return pa.concat_tables(tables)
