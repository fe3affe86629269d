from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import Dataset, parse_dataset
from feature_repo.dataset.duplicates import CONFLICT, DUPLICATE
from feature_repo.dataset.event_id import event_id
from feature_repo.dataset.prepare import prepare
from feature_repo.dataset.received import RECEIVED_SCHEMA

NOW = datetime(2026, 2, 1, tzinfo=UTC)
DECLARED = """
name: shop
events:
  path: events.csv
  columns: {user_id: user, item_id: item, timestamp: at, value: paid}
  event_type: view
  context: [device]
weights: {view: 1, buy: 3}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path / "build", store=tmp_path / "build" / "store")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    events = "".join(f"u{n % 3},i{n % 5},2026-01-{n + 1:02d},,desk\n" for n in range(20))
    (tmp_path / "events.csv").write_text("user,item,at,paid,device\n" + events)
    return parse_dataset(DECLARED, tmp_path / "dataset.yaml")


def received(workspace: Workspace, name: str, *events: dict[str, Any]) -> None:
    """One batch as the service writes it; each event is a view of i1 by `new` on 25 January unless it says more."""
    plain = {
        "user_id": "new",
        "item_id": "i1",
        "timestamp": datetime(2026, 1, 25, tzinfo=UTC),
        "event_type": "view",
        "context": [],
    }
    workspace.received.mkdir(parents=True, exist_ok=True)
    rows = [{**dict.fromkeys(RECEIVED_SCHEMA.names), **plain, **event} for event in events]
    pq.write_table(pa.Table.from_pylist(rows, schema=RECEIVED_SCHEMA), workspace.received / f"{name}.parquet")


def test_events_that_arrived_over_http_join_the_log_with_their_context(workspace: Workspace, dataset: Dataset) -> None:
    received(
        workspace,
        "one",
        {"event_id": "a", "event_type": "buy", "value": 2.5, "context": [("device", "phone"), ("x", "y")]},
    )

    report = prepare(dataset, workspace, now=NOW)

    assert (report["read"], report["received"], report["events"], report["refused"]) == (21, 1, 21, {})
    (event,) = pq.read_table(workspace.events, filters=[("user_id", "=", "new")]).to_pylist()
    assert (event["event_id"], event["value"], event["score"], event["device"]) == ("a", 2.5, 3.0, "phone")


def test_an_event_in_the_log_and_in_two_batches_counts_once(workspace: Workspace, dataset: Dataset) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    same = event_id("u0", "i0", int(moment.timestamp() * 1_000_000), "view", None)
    copy = {"event_id": same, "user_id": "u0", "item_id": "i0", "timestamp": moment}
    received(workspace, "one", copy | {"context": [("device", "desk")]}, {"event_id": "b"})
    received(workspace, "two", copy, {"event_id": "b"})

    report = prepare(dataset, workspace, now=NOW)

    assert (report["read"], report["events"]) == (24, 21)
    assert report["refused"] == {DUPLICATE: 2, CONFLICT: 1}


def test_received_events_pass_the_same_rules(workspace: Workspace, dataset: Dataset) -> None:
    received(
        workspace,
        "one",
        {"event_id": "a", "event_type": "stare"},
        {"event_id": "b", "timestamp": datetime(2026, 3, 1, tzinfo=UTC)},
        {"event_id": "c", "value": float("inf")},
    )

    report = prepare(dataset, workspace, now=NOW)

    assert report["refused"] == {"event type has no weight": 1, "timestamp is after now": 1, "value is not finite": 1}
    quarantine = pq.read_table(workspace.quarantine).to_pylist()
    assert {Path(row["read_from"]).name for row in quarantine} == {"one.parquet"}
    assert {row["raw_timestamp"] for row in quarantine} >= {"2026-03-01 00:00:00+00"}


def test_a_new_batch_is_a_change_of_the_data(workspace: Workspace, dataset: Dataset) -> None:
    received(workspace, "one", {"event_id": "a"})
    first = prepare(dataset, workspace, now=NOW)
    received(workspace, "two", {"event_id": "b", "item_id": "i2"})

    second = prepare(dataset, workspace, now=NOW)

    assert (second["reused"], second["received"]) == (False, 2)
    assert second["fingerprint"] != first["fingerprint"]
    assert prepare(dataset, workspace, now=NOW)["reused"]


def test_a_damaged_batch_is_one_sentence_that_names_the_folder(workspace: Workspace, dataset: Dataset) -> None:
    workspace.received.mkdir(parents=True)
    (workspace.received / "one.parquet").write_bytes(b"PAR1 and no more")

    with pytest.raises(DatasetError, match=r"received: received events cannot be read; "):
        prepare(dataset, workspace, now=NOW)
