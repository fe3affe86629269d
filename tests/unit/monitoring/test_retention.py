"""Retention limits: what is older goes, is counted and on record, and a kill at any point loses nothing of that."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from erasable_workspace import NOW as BUILT
from erasable_workspace import build, copied, event, logged
from filelock import FileLock

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.prepare import active_dataset, prepare
from feature_repo.dataset.pseudonym import open_pseudonyms
from feature_repo.dataset.request_log import require_key
from feature_repo.dataset.retention import TOO_OLD, keep_from, kept_from
from feature_repo.stream.connect import stream_folder
from monitoring.privacy import retain as job
from monitoring.privacy.audit import read_lines
from monitoring.privacy.expire import RetentionRefused
from monitoring.privacy.retain import retain
from monitoring.privacy.table import retention_lines
from serving.inbox import Inbox
from serving.request_log import metadata_of, to_table
from training.erase.locks import Busy

NOW = BUILT + timedelta(days=30)
DAYS = 134.98  # to half past midnight on 2026-01-16, in the middle of the events and between two
BEFORE = NOW - timedelta(days=DAYS)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("retained")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RECOMMENDER_PSEUDONYM_KEY", "ERASURE_KEY"):
            patch.delenv(name, raising=False)
        build(folder)
        yield folder


@pytest.fixture
def workspace(built: Path, tmp_path: Path) -> Workspace:
    """A log in one file, with an old and a new row; an old batch, a mixed one; Feast's log; an old report."""
    place = copied(built, tmp_path)
    old, new = BEFORE - timedelta(days=1), BEFORE + timedelta(days=1)
    names = open_pseudonyms(place)
    rows = [_at(logged("bob"), old), _at(logged("p7"), new)]
    pq.write_table(
        to_table(rows, names).replace_schema_metadata(metadata_of(names)), place.request_log / "mixed.parquet"
    )
    for number, moments in enumerate(((old,), (old, new))):
        events = [_at(event(f"x{number}{place_}"), at) for place_, at in enumerate(moments)]
        Inbox(place.received, remembered=10).receive(events)
    features = pa.table({"user_id": ["a", "b"], "__log_timestamp": pa.array([old, new], pa.timestamp("us", "UTC"))})
    pq.write_table(features, place.served_features / "mixed.parquet")
    (place.served_features / "one.parquet").unlink()
    os.utime(place.reports / "evaluation.json", (old.timestamp(), old.timestamp()))
    os.utime(place.reports / "data.json", (old.timestamp(), old.timestamp()))
    return place


def _at(row, moment: datetime):  # type: ignore[no-untyped-def]
    from dataclasses import fields, replace

    names = {field.name for field in fields(row)} & {"received_at", "moment", "timestamp"}
    return replace(row, **dict.fromkeys(names, moment))


def violations(workspace: Workspace) -> int:
    """Rows anywhere that are older than the limit."""
    columns = {
        workspace.events.parent: "timestamp",
        workspace.received: "timestamp",
        workspace.request_log: "received_at",
        workspace.served_features: "__log_timestamp",
    }
    found = 0
    for folder, column in columns.items():
        for file in folder.glob("*.parquet"):
            table = pq.read_table(file)
            if column in table.column_names:
                found += sum(moment is not None and moment < BEFORE for moment in table[column].to_pylist())
    states = pq.read_table(workspace.tables / "user_activity.parquet")["user_first_event"].to_pylist()
    old_reports = [file for file in workspace.reports.glob("*") if file.stat().st_mtime < BEFORE.timestamp()]
    return found + sum(first < BEFORE.timestamp() * 1e6 for first in states) + len(old_reports)


def test_what_is_older_goes_everywhere_and_is_counted(workspace: Workspace) -> None:
    events = pq.read_table(workspace.events)["timestamp"].to_pylist()
    old = sum(moment < BEFORE for moment in events)
    before = violations(workspace)

    report = retain(workspace, days=DAYS, now=NOW)

    assert before > 0
    assert violations(workspace) == 0
    assert report["removed"] == {
        "events": old,
        "received events": 2,
        "request log": 1,
        "served features": 1,
        "reports": 1,
    }
    assert pq.read_table(workspace.events).num_rows == len(events) - old + 4  # received ones, which it reads now
    require_key(workspace, open_pseudonyms(workspace))  # what is left of a file still names its key
    assert (workspace.reports / "data.json").exists()
    assert retain(workspace, days=DAYS, now=NOW)["removed"] == {}
    assert "removed: " in retention_lines(report)[0]
    assert "make materialize" in retention_lines(report)[1]


def test_the_teams_own_files_do_not_bring_old_events_back(workspace: Workspace) -> None:
    retain(workspace, days=DAYS, now=NOW)
    source = workspace.root.parent / "events.csv"
    source.write_text(source.read_text() + "bob,t1,2026-01-05T00:00:00Z,view,9\nbob,t1,2026-03-01T00:00:00Z,view,9\n")

    report = prepare(active_dataset(workspace), workspace, now=NOW)

    assert violations(workspace) == 0
    assert report["refused"][TOO_OLD] > 1  # type: ignore[index]
    quarantine = pq.read_table(workspace.quarantine).to_pylist()
    assert all(set(row.values()) == {None, TOO_OLD} for row in quarantine if row["reason"] == TOO_OLD)


class Killed(BaseException):
    """What a kill does: nothing after it happens."""


@pytest.mark.parametrize(("survived", "late"), [(0, False), (0, True), (2, True), (4, False)])
def test_a_run_that_is_killed_half_way_is_gone_on_with(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, survived: int, late: bool
) -> None:
    remove, removed = job._remove, [0]
    whole = retain(workspace, days=DAYS, now=NOW, dry_run=True)["removed"]

    def killed(*arguments, **options):  # type: ignore[no-untyped-def]
        if removed[0] == survived and not late:
            raise Killed
        remove(*arguments, **options)
        removed[0] += 1
        if removed[0] > survived:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(job, "_remove", killed)
        with pytest.raises(Killed):
            retain(workspace, days=DAYS, now=NOW)
    report = retain(workspace, days=DAYS, now=NOW + timedelta(seconds=1))

    assert violations(workspace) == 0
    assert report["went_on_from"] == [NOW.isoformat()]
    assert retention_lines(report)[0].startswith("Went on from the run of")
    lines = read_lines(workspace.store / "audit" / "retention.jsonl")
    # Nothing went without a line: a removal that was killed before it happened has two.
    said = {(line["store"], line["file"]): line["rows"] for line in lines if line["event"] == "removing"}
    totals: dict[str, int] = {}
    for (store, _), rows in said.items():
        totals[store] = totals.get(store, 0) + rows
    assert totals == whole
    assert retain(workspace, days=DAYS, now=NOW + timedelta(seconds=2))["went_on_from"] == []


def test_a_dry_run_counts_and_removes_nothing(workspace: Workspace) -> None:
    before = violations(workspace)

    report = retain(workspace, days=DAYS, now=NOW, dry_run=True)

    assert violations(workspace) == before
    assert report["removed"]["request log"] == 1
    assert "would be removed" in retention_lines(report)[0]
    assert not (workspace.store / "audit" / "retention.jsonl").exists()


def test_a_limit_that_leaves_nothing_to_learn_from_is_refused_before_anything_goes(workspace: Workspace) -> None:
    before = violations(workspace)

    with pytest.raises(RetentionRefused, match=r"of \d+ events 0 are from .* on, so nothing would be left"):
        retain(workspace, days=1, now=NOW + timedelta(days=400))
    newest = max(pq.read_table(workspace.events)["timestamp"].to_pylist())
    with pytest.raises(RetentionRefused, match=r"1 are from .* on, too few to learn from: a time split needs"):
        retain(workspace, days=1, now=newest + timedelta(days=1))
    with pytest.raises(RetentionRefused, match="number of days above 0; got 0"):
        retain(workspace, days=0, now=NOW)

    assert violations(workspace) == before
    assert kept_from(workspace) is None


def test_a_file_whose_rows_have_no_age_is_refused_before_anything_goes(workspace: Workspace) -> None:
    pq.write_table(pa.table({"user_id": ["a"]}), workspace.served_features / "ageless.parquet")
    before = violations(workspace)

    with pytest.raises(RetentionRefused, match=r"ageless.parquet must say in __log_timestamp when each row is from"):
        retain(workspace, days=DAYS, now=NOW)
    (workspace.served_features / "ageless.parquet").write_bytes(b"no parquet")
    with pytest.raises(RetentionRefused, match=r"ageless.parquet cannot be read"):
        retain(workspace, days=DAYS, now=NOW)

    (workspace.served_features / "ageless.parquet").unlink()
    assert violations(workspace) == before


def test_it_waits_for_nobody_and_works_beside_nobody(workspace: Workspace) -> None:
    with (
        FileLock(stream_folder(workspace) / "consumer.lock"),
        pytest.raises(Busy, match="a stream consumer is running"),
    ):
        retain(workspace, days=DAYS, now=NOW)
    (workspace.store / "audit").mkdir(exist_ok=True)
    with (
        FileLock(workspace.store / "audit" / "retention.lock"),
        pytest.raises(RetentionRefused, match="another run of this command"),
    ):
        retain(workspace, days=DAYS, now=NOW)


def test_a_limit_never_goes_back_and_one_that_cannot_be_read_stops_everything(tmp_path: Path) -> None:
    place = Workspace(root=tmp_path, store=tmp_path)
    keep_from(place, datetime(2026, 3, 1, tzinfo=UTC))

    keep_from(place, datetime(2026, 2, 1, tzinfo=UTC))

    assert kept_from(place) == datetime(2026, 3, 1, tzinfo=UTC)
    (tmp_path / "retention.json").write_text("{}")
    with pytest.raises(DatasetError, match="must say events_from, a moment in ISO 8601"):
        kept_from(place)
