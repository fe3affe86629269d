from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from door import HEADER, cleaned, declared, through_the_door

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import parse_dataset
from feature_repo.dataset.erased import ERASED
from feature_repo.dataset.prepare import entity_rows, prepare
from feature_repo.dataset.rules import BROKEN_LINE
from feature_repo.dataset.tombstone import Tombstones, add_tombstone, keyed_hash

KEY = b"a key of sixteen bytes"
DECLARED = """
name: shop
events:
  path: events.csv
  columns: {user_id: user, item_id: item, timestamp: at}
  event_type: view
users: {path: users.csv, key: user, categorical: [city]}
weights: {view: 1}
"""


def erased(*users: str) -> Tombstones:
    return Tombstones(KEY, frozenset(keyed_hash(KEY, user) for user in users))


def test_rows_of_an_erased_user_are_counted_and_hold_nothing_valid_or_not(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        HEADER + "ann,a,2026-01-02,view,1\nann,secret,yesterday,stare,much\nbob,a,2026-01-02,view,1\nann,b\n"
    )

    result = through_the_door(declared(tmp_path), erased("ann", "cy"))

    assert (result.read, result.refused) == (4, {ERASED: 2, BROKEN_LINE: 1})
    assert result.events["user_id"].to_pylist() == ["bob"]
    for row in result.quarantine.drop_columns(["reason", "read_from"]).to_pylist():
        assert set(row.values()) <= {None}


def test_without_tombstones_no_row_is_touched(tmp_path: Path) -> None:
    assert cleaned(tmp_path, "ann,a,2026-01-02,view,1\n").refused == {}


def test_a_new_tombstone_keeps_the_person_out_of_events_profiles_and_quarantine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ERASURE_KEY", raising=False)
    workspace = Workspace(root=tmp_path / "build", store=tmp_path / "build" / "store")
    rows = "".join(f"u{n % 3},i{n % 5},2026-01-{n + 1:02d}\n" for n in range(20))
    (tmp_path / "events.csv").write_text("user,item,at\n" + rows)
    (tmp_path / "users.csv").write_text("user,city\nu0,Rome\nu1,Oslo\n,Bern\n")
    dataset = parse_dataset(DECLARED, tmp_path / "dataset.yaml")
    now = datetime(2026, 2, 1, tzinfo=UTC)
    before = prepare(dataset, workspace, now=now)
    add_tombstone(workspace, "u1")

    after = prepare(dataset, workspace, now=now)

    assert (before["users"], after["users"], after["refused"]) == (3, 2, {ERASED: 7})
    assert after["refused_entities"] == {"users.csv": {ERASED: 1, "user_id is missing": 1}}
    files = [
        workspace.events,
        workspace.quarantine,
        entity_rows(workspace, "user_id"),
        *workspace.tables.glob("user_*"),
    ]
    for file in files:
        assert "u1" not in pq.read_table(file)["user_id"].to_pylist()
