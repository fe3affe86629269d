"""Slates for all users: parts, a kill in the middle, what stays on disk."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.tombstone import add_tombstone
from feature_repo.store.coverage import write_coverage
from serving.batch import BatchStopped, Written, run_batch
from serving.batch_plan import SLATE_SCHEMA, batch_folders, current_batch
from training.slate import RankedItem

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@dataclass
class Serving:
    """Answers every user with `i-<user>` first; stops being well after so many answers."""

    version: str = "3"
    degraded: tuple[str, ...] = ()
    killed_after: int = 1_000
    why: str = ""
    asked: list[Any] = field(default_factory=list)

    @property
    def settings(self) -> Any:
        return SimpleNamespace(version=self.version)

    def not_ready(self) -> str:
        return self.why

    def answer(self, query: Any, *, now: datetime) -> Any:
        if len(self.asked) == self.killed_after:
            raise KeyboardInterrupt
        self.asked.append(query)
        items = [RankedItem(f"i-{query.user_id}", 2.0, 1, "ease", 1.0), RankedItem("i", 1.0, 2, "explore", 0.25)]
        assert now == query.moment
        return SimpleNamespace(slate=SimpleNamespace(items=items[: query.k]), degraded=self.degraded)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Seven users, one of them erased."""
    monkeypatch.delenv("ERASURE_KEY", raising=False)
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    workspace.tables.mkdir(parents=True)
    pq.write_table(
        pa.table({"user_id": ["u6", *[f"u{n}" for n in range(7)]]}), workspace.tables / "user_activity.parquet"
    )
    write_json(workspace.reports / "data.json", {"fingerprint": "f1"})
    write_coverage(workspace, until=NOON)
    add_tombstone(workspace, "u5")
    return workspace


def run(workspace: Workspace, serving: Serving, **changes: Any) -> Written:
    moment = changes.pop("moment", NOON)
    options = {
        "k": 2,
        "part": 2,
        "moment": moment,
        "now": moment,
        "on_start": lambda *_: None,
        "on_user": lambda: None,
        **changes,
    }
    return run_batch(workspace, serving, **options)  # type: ignore[arg-type]


def read(workspace: Workspace) -> list[dict[str, Any]]:
    files = sorted(current_batch(workspace).glob("*.parquet"))
    rows: list[dict[str, Any]] = pa.concat_tables([pq.read_table(file) for file in files]).to_pylist()
    return rows


def users(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [row["user_id"] for row in rows]


def test_every_user_who_was_not_erased_has_one_slate_of_the_version_and_the_moment(workspace: Workspace) -> None:
    written = run(workspace, Serving())

    rows = read(workspace)
    assert users(rows) == ["u0", "u1", "u2", "u3", "u4", "u6"]
    assert rows[1] == {
        "user_id": "u1",
        "item_ids": ["i-u1", "i"],
        "scores": [2.0, 1.0],
        "sources": ["ease", "explore"],
        "propensities": [1.0, 0.25],
        "degraded": [],
        "model_version": "3",
        "moment": NOON,
    }
    assert (written.users, written.parts, written.kept_parts, written.degraded) == (6, 3, 0, 0)
    assert pq.read_schema(written.folder / "part-00000.parquet").equals(SLATE_SCHEMA)


def test_a_batch_records_version_data_and_moment(workspace: Workspace) -> None:
    written = run(workspace, Serving())

    state = json.loads((written.folder / "batch.json").read_text())
    assert (state["plan"]["version"], state["plan"]["data"], state["plan"]["count"]) == ("3", "f1", 6)
    assert (state["moment"], state["complete"]) == (NOON.isoformat(), True)


def test_a_killed_run_is_gone_on_with_for_its_own_moment(workspace: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(workspace, Serving(killed_after=3))
    with pytest.raises(MissingArtifact, match="run `make recommend-batch` first"):
        current_batch(workspace)
    seen: list[tuple[int, int]] = []
    again = Serving()

    written = run(workspace, again, moment=NOON + timedelta(hours=1), on_start=lambda *counts: seen.append(counts))

    assert [query.user_id for query in again.asked] == ["u2", "u3", "u4", "u6"]
    assert seen == [(6, 2)]
    assert (written.parts, written.kept_parts) == (3, 1)
    assert {row["moment"] for row in read(workspace)} == {NOON}
    assert users(read(workspace)) == ["u0", "u1", "u2", "u3", "u4", "u6"]
    assert not list(workspace.slates.rglob("*.partial"))


@pytest.mark.parametrize("changed", ["version", "data", "k", "state", "users"])
def test_a_killed_run_of_another_plan_is_not_gone_on_with(workspace: Workspace, changed: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(workspace, Serving(killed_after=3))
    serving = Serving(version="4" if changed == "version" else "3")
    if changed == "data":
        write_json(workspace.reports / "data.json", {"fingerprint": "f2"})
    if changed == "state":
        write_coverage(workspace, until=NOON)
    if changed == "users":
        add_tombstone(workspace, "u0")

    written = run(workspace, serving, moment=NOON + timedelta(hours=1), k=1 if changed == "k" else 2)

    assert written.kept_parts == 0
    assert len(serving.asked) == (5 if changed == "users" else 6)
    assert [folder.name for folder in batch_folders(workspace)] == [written.folder.name]


def test_a_complete_batch_is_made_anew_and_only_the_one_before_it_is_kept(workspace: Workspace) -> None:
    folders = [run(workspace, Serving(), moment=NOON + timedelta(hours=n)).folder for n in range(3)]

    assert current_batch(workspace) == folders[2]
    assert sorted(batch_folders(workspace)) == folders[1:]


def test_a_batch_about_the_past_is_newer_than_one_about_the_present_that_was_made_before_it(
    workspace: Workspace,
) -> None:
    run(workspace, Serving())

    past = run(workspace, Serving(), moment=NOON - timedelta(days=365), now=NOON + timedelta(hours=1))
    last = run(workspace, Serving(), now=NOON + timedelta(hours=2))

    assert sorted(batch_folders(workspace)) == [past.folder, last.folder]


def test_a_batch_stops_where_slates_go_without_a_part_and_goes_on_later(workspace: Workspace) -> None:
    with pytest.raises(BatchStopped, match=r"part 0 of .* has 2 of 2 slates without features: at most 5% may be"):
        run(workspace, Serving(degraded=("features",)))

    assert run(workspace, Serving()).degraded == 0


def test_a_service_that_is_not_ready_makes_no_batch(workspace: Workspace) -> None:
    with pytest.raises(BatchStopped, match="need a service that is ready; the list of blocked items was never loaded"):
        run(workspace, Serving(why="the list of blocked items was never loaded"))


def test_without_feature_tables_the_sentence_says_what_to_run(workspace: Workspace) -> None:
    (workspace.tables / "user_activity.parquet").unlink()

    with pytest.raises(MissingArtifact, match=r"user_activity.parquet is not there: run `make data` first"):
        run(workspace, Serving())
