"""The consent flag, from the event to everything that is made of events."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from door import HEADER, declared, through_the_door

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.clean import Cleaned
from feature_repo.dataset.cleaning import Cleaning
from feature_repo.dataset.consent import NO_CONSENT
from feature_repo.dataset.declaration import parse_dataset
from feature_repo.dataset.event_id import event_id
from feature_repo.dataset.prepare import prepare
from feature_repo.dataset.received import RECEIVED_SCHEMA
from feature_repo.stream.bus import Record
from feature_repo.stream.folder_bus import FolderBus
from feature_repo.stream.payload import Refused, Rules, StreamEvent, parse
from feature_repo.stream.sort_out import SortedOut, sort_out
from training.replay import moments

NOW = datetime(2026, 5, 1, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)
DECLARED = """
name: tiny
events:
  path: events.csv
  columns: {user_id: who, item_id: thing, timestamp: at, consent: agreed}
  event_type: view
weights: {view: 1}
"""


def with_consent(folder: Path, lines: str, **changes: object) -> Cleaned:
    (folder / "events.csv").write_text(HEADER.replace("\n", ",agreed\n") + lines)
    return through_the_door(declared(folder, columns={"consent": "agreed"}, **changes))


def test_an_event_that_says_no_is_counted_and_kept_nowhere(tmp_path: Path) -> None:
    lines = "ann,a,2026-01-02,view,1,true\nann,b,2026-01-03,view,1,\nbob,secret,2026-01-02,stare,much,false\n"

    found = with_consent(tmp_path, lines)

    assert found.refused == {NO_CONSENT: 1}
    assert found.events["item_id"].to_pylist() == ["a", "b"]
    for row in found.quarantine.drop_columns(["reason"]).to_pylist():
        assert set(row.values()) == {None}


def test_where_consent_is_required_silence_is_no(tmp_path: Path) -> None:
    lines = "ann,a,2026-01-02,view,1,true\nann,b,2026-01-03,view,1,\nann,c,2026-01-04,view,1,maybe\nann,x\n"

    found = with_consent(tmp_path, lines, cleaning={"consent_required": True})

    assert found.events["item_id"].to_pylist() == ["a"]
    assert found.refused == {
        NO_CONSENT: 1,
        "consent is not true or false": 1,
        "line cannot be read as csv": 1,
    }


def test_a_copy_of_an_event_without_consent_does_not_stand_in_for_the_one_with_it(tmp_path: Path) -> None:
    found = with_consent(tmp_path, "ann,a,2026-01-02,view,1,false\nann,a,2026-01-02,view,1,true\n")

    assert (found.events.num_rows, found.refused) == (1, {NO_CONSENT: 1})


def test_everything_made_of_events_is_as_if_those_without_consent_had_never_been(tmp_path: Path) -> None:
    rows = [(f"u{n % 7}", f"t{n * n % 11}", START + timedelta(hours=n), n % 4 != 0) for n in range(200)]
    received = [("u1", "t1", START + timedelta(days=10), False), ("u2", "secret", START + timedelta(days=11), False)]
    asked = prepared(tmp_path / "asked", rows, received)
    never = prepared(tmp_path / "never", [row for row in rows if row[3]], [])

    tables = sorted(path.name for path in asked.tables.glob("*.parquet"))

    assert tables == sorted(path.name for path in never.tables.glob("*.parquet")) != []
    for name in tables:
        assert pq.read_table(asked.tables / name).equals(pq.read_table(never.tables / name)), name
    assert pq.read_table(asked.events).equals(pq.read_table(never.events))
    assert moments(asked, START, NOW) == moments(never, START, NOW)
    assert pq.read_table(asked.quarantine)["reason"].to_pylist() == [NO_CONSENT] * 52


def prepared(
    folder: Path, rows: list[tuple[str, str, datetime, bool]], received: list[tuple[str, str, datetime, bool]]
) -> Workspace:
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    workspace.received.mkdir(parents=True)
    lines = "".join(f"{user},{item},{at.isoformat()},{agreed}\n" for user, item, at, agreed in rows)
    (folder / "events.csv").write_text("who,thing,at,agreed\n" + lines)
    if received:
        pq.write_table(as_received(received), workspace.received / "one.parquet")
    prepare(parse_dataset(DECLARED, folder / "dataset.yaml"), workspace, now=NOW)
    return workspace


def as_received(rows: list[tuple[str, str, datetime, bool]]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"event_id": f"e{n}", "user_id": user, "item_id": item, "timestamp": at, "event_type": "view"}
            | {"consent": agreed, "context": {}}
            for n, (user, item, at, agreed) in enumerate(rows)
        ],
        schema=RECEIVED_SCHEMA,
    )


def test_what_comes_over_http_reaches_the_stream_with_its_consent(tmp_path: Path) -> None:
    """The folder bus once left the flag out, so that the online store would have counted what nobody agreed to."""
    (tmp_path / "received").mkdir()
    rows = [("ann", "a", START, True), ("ann", "b", START, False)]
    pq.write_table(as_received(rows), tmp_path / "received" / "one.parquet")

    records = FolderBus(tmp_path / "received", tmp_path / "read.log").read(10, timeout=0)
    found = sorted_out(records, Cleaning())

    assert [event.item_id for event in found.events] == ["a"]
    assert (found.counts.read, found.counts.applied, found.counts.refused) == (2, 1, 1)
    assert found.refused == ()


def sorted_out(records: list[Record], cleaning: Cleaning) -> SortedOut:
    rules = Rules({"view": 1.0}, cleaning, valued=False)
    return sort_out(records, rules, now=NOW, horizon_us=0, known=lambda _: set(), erased=lambda _: [])


@pytest.mark.parametrize(
    ("consent", "required", "reason"),
    [
        (False, False, NO_CONSENT),
        (None, True, NO_CONSENT),
        ("yes", False, "consent is not true or false"),
        (True, True, None),
        (None, False, None),
    ],
)
def test_the_stream_asks_for_consent_as_the_door_does(consent: object, required: bool, reason: str | None) -> None:
    event = {"user_id": "ann", "item_id": "a", "timestamp": START.isoformat(), "event_type": "view", "consent": consent}
    rules = Rules({"view": 1.0}, Cleaning(consent_required=required), valued=False)

    found = parse(json.dumps(event).encode(), rules, now_us=2**60)

    if reason:
        assert found == Refused(reason)
    else:
        assert isinstance(found, StreamEvent)
        assert found.event_id == event_id("ann", "a", found.moment_us, "view", None)
