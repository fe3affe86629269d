"""`python -m monitoring retain --days N`: what is older goes, from events, received events, logs and reports.

Each removal is a line in `<store>/audit/retention.jsonl` before it happens, with the number of rows, and happens to a
whole file at once. So a kill leaves files that are done and files that are not, each with its line, and the next run,
whose limit is not earlier, goes on. Events are removed by `make data` itself, under a limit that the store remembers:
the team's own files would bring them back otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.prepare import active_dataset, prepare
from feature_repo.dataset.received import received_files
from feature_repo.dataset.request_log import request_log_files
from feature_repo.dataset.retention import keep_from
from feature_repo.dataset.split import split_by_time
from feature_repo.stream.connect import stream_folder
from feature_repo.stream.folder_bus import PAYLOADS
from monitoring.privacy.audit import append_line, read_lines
from monitoring.privacy.expire import RetentionRefused, expired_rows, remove_expired
from training.erase.locks import held

REPORT = "retention.json"
# What the last `make data` said of the data that are there now, and this command's own.
KEPT_REPORTS = frozenset({"data.json", "data_report.md", REPORT})


@dataclass(frozen=True)
class Expired:
    """A file, or `events` for all of them, with rows from before the limit; a report is one row."""

    store: str
    path: Path
    rows: int
    column: str | None = None


def retain(workspace: Workspace, *, days: float, now: datetime, dry_run: bool = False) -> dict[str, Any]:
    """Remove what is older than `days`; returns the report that is also in retention.json.

    Raises:
        RetentionRefused: nothing would be left to learn from, or a file does not say how old its rows are; nothing was
            removed.
        Busy: data are being prepared, or events consumed.
    """
    if not days > 0:
        raise RetentionRefused(f"a retention limit is a number of days above 0; got {days}")
    before = now - timedelta(days=days)
    audit = workspace.store / "audit" / "retention.jsonl"
    audit.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            FileLock(audit.with_suffix(".lock"), timeout=0),
            held(stream_folder(workspace) / "consumer.lock", busy="a stream consumer is running"),
        ):
            return _retain(workspace, audit, before, now=now, dry_run=dry_run)
    except Timeout:
        raise RetentionRefused(f"another run of this command is at work in {workspace.store}") from None


def _retain(workspace: Workspace, audit: Path, before: datetime, *, now: datetime, dry_run: bool) -> dict[str, Any]:
    found = [*expired_events(workspace, before), *expired_files(workspace, before), *expired_reports(workspace, before)]
    unfinished = unfinished_runs(audit)
    report = {
        "made_at": now.isoformat(),
        "before": before.isoformat(),
        "removed": _totals(found),
        "dry_run": dry_run,
        "went_on_from": unfinished,
        "to_do": _to_do(found),
    }
    if dry_run:
        return report
    run = now.isoformat()
    append_line(audit, at=now, event="begun", run=run, before=before.isoformat())
    for one in found:
        append_line(audit, at=now, event="removing", run=run, store=one.store, file=one.path.name, rows=one.rows)
        _remove(workspace, one, before, now=now)
    append_line(audit, at=now, event="done", run=run, removed=report["removed"], went_on_from=unfinished)
    write_json(workspace.reports / REPORT, report)
    return report


def expired_events(workspace: Workspace, before: datetime) -> Iterator[Expired]:
    """The event log, where it holds events from before the limit.

    Raises:
        RetentionRefused: no model could learn from what would be left.
    """
    if not workspace.events.exists():
        return
    events = pq.read_table(workspace.events, columns=["timestamp"])
    old = pc.less(events["timestamp"], before)
    rows = int(pc.sum(old).as_py() or 0)
    if rows:
        left = f"of {events.num_rows:,} events {events.num_rows - rows:,} are from {before.isoformat()} on"
        if rows == events.num_rows:
            raise RetentionRefused(f"{left}, so nothing would be left to learn from")
        try:
            split_by_time(events.filter(pc.invert(old)))
        except DatasetError as error:
            raise RetentionRefused(f"{left}, too few to learn from: {error}") from None
        yield Expired("events", workspace.events, rows)


def expired_files(workspace: Workspace, before: datetime) -> Iterator[Expired]:
    """Received events, request log and Feast's log of features, file by file.

    Payloads that a tool put into the folder of received events need be no events: they are as old as their file.
    """
    stores = (
        ("received events", received_files(workspace), "timestamp"),
        ("request log", request_log_files(workspace), "received_at"),
        ("served features", sorted(workspace.served_features.glob("*.parquet")), "__log_timestamp"),
    )
    for store, files, column in stores:
        for file in files:
            rows = expired_rows(file, column, before)
            if rows:
                yield Expired(store, file, rows, column)
    for file in sorted(workspace.received.glob(f"*{PAYLOADS}")):
        if file.stat().st_mtime < before.timestamp():
            yield Expired("received events", file, pq.read_metadata(file).num_rows)


def expired_reports(workspace: Workspace, before: datetime) -> Iterator[Expired]:
    """Reports that were written before the limit."""
    files = sorted(workspace.reports.rglob("*")) if workspace.reports.is_dir() else []
    for file in files:
        if file.is_file() and file.name not in KEPT_REPORTS and file.stat().st_mtime < before.timestamp():
            yield Expired("reports", file, 1)


def unfinished_runs(audit: Path) -> list[str]:
    """Runs that were begun and not done: this one removes what they left."""
    lines = read_lines(audit)
    done = {line["run"] for line in lines if line["event"] == "done"}
    done |= {run for line in lines if line["event"] == "done" for run in line["went_on_from"]}
    return [line["run"] for line in lines if line["event"] == "begun" and line["run"] not in done]


def _remove(workspace: Workspace, one: Expired, before: datetime, *, now: datetime) -> None:
    if one.store == "events":
        keep_from(workspace, before)
        prepare(active_dataset(workspace), workspace, now=now)
    elif one.column is None:
        one.path.unlink(missing_ok=True)
    else:
        remove_expired(one.path, one.column, before)


def _totals(found: list[Expired]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for one in found:
        totals[one.store] = totals.get(one.store, 0) + one.rows
    return totals


def _to_do(found: list[Expired]) -> list[str]:
    if not any(one.store == "events" for one in found):
        return []
    return [
        "run `make materialize`: the online store still counts the removed events",
        "run `make train`: versions from before learned from the removed events",
    ]
