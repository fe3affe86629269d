import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from feature_repo.core.workspace import Workspace
from feature_repo.store.item_table import ItemTable, newest_snapshot, open_item_table, publish
from serving.items.live import LiveItems

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Over:
    """A recommender as far as a refresh knows one: it can be made over another table, which needs titles."""

    items: ItemTable

    def over(self, items: ItemTable) -> "Over":
        items.columns["title"]
        return Over(items)


@dataclass
class World:
    workspace: Workspace
    outcomes: list[str]
    warmed: list[Over]
    live: LiveItems

    def publish(self, *ids: str, days: int = 1, column: str = "title") -> Path:
        table = pa.table({"item_id": list(ids), column: [f"Title of {item}" for item in ids]})
        return publish(table, self.workspace, as_of=AS_OF + timedelta(days=days))

    def served(self) -> list[str]:
        ids: list[str] = self.live.recommender.items.item_ids.tolist()
        return ids


@pytest.fixture
def world(tmp_path: Path) -> World:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    publish(pa.table({"item_id": ["a", "b"], "title": ["A", "B"]}), workspace, as_of=AS_OF)
    outcomes: list[str] = []
    warmed: list[Over] = []
    live = LiveItems(
        workspace,
        Over(open_item_table(workspace)),  # type: ignore[arg-type]
        newest_snapshot(workspace),
        refresh_seconds=0.01,
        warm_up=warmed.append,  # type: ignore[arg-type]
        on_outcome=outcomes.append,
    )
    return World(workspace, outcomes, warmed, live)


def test_without_a_new_snapshot_nothing_happens(world: World) -> None:
    assert not world.live.refresh()
    assert world.outcomes == []


def test_a_new_snapshot_is_served_after_it_was_warmed_up(world: World) -> None:
    before = world.live.version
    world.publish("a", "b", "c")

    assert world.live.refresh()

    assert world.served() == ["a", "b", "c"]
    assert world.warmed == [world.live.recommender]
    assert world.live.version != before
    assert world.outcomes == ["loaded"]


def test_the_age_is_counted_from_the_moment_that_the_table_describes(world: World) -> None:
    assert world.live.age_seconds(AS_OF + timedelta(hours=1)) == 3_600
    world.publish("a", days=2)
    world.live.refresh()

    assert world.live.age_seconds(AS_OF + timedelta(days=2, seconds=5)) == 5


@pytest.mark.parametrize("kept_bytes", [0, 100])
def test_a_half_written_snapshot_is_refused_once_and_taken_when_it_is_whole(world: World, kept_bytes: int) -> None:
    path = world.publish("c")
    whole = path.read_bytes()
    path.write_bytes(whole[:kept_bytes])
    refused = [world.live.refresh(), world.live.refresh()]
    served = world.served()

    path.write_bytes(whole)

    assert refused == [False, False]
    assert served == ["a", "b"]
    assert world.live.refresh()
    assert world.served() == ["c"]
    assert world.outcomes == ["refused", "loaded"]


@pytest.mark.parametrize("pointer", ["", "{", "[]", '{"file": "x"}', '{"file": "x", "sha256": "y", "as_of": "z"}'])
def test_a_broken_pointer_leaves_the_table_that_is_there(world: World, pointer: str) -> None:
    (world.workspace.snapshots / "items.json").write_text(pointer)

    assert [world.live.refresh(), world.live.refresh()] == [False, False]

    assert world.served() == ["a", "b"]
    assert world.outcomes == ["refused"]


def test_a_snapshot_that_does_not_fit_the_bundle_leaves_the_table_that_is_there(world: World) -> None:
    world.publish("c", column="headline")

    assert not world.live.refresh()

    assert world.served() == ["a", "b"]
    assert world.outcomes == ["refused"]


def test_a_missing_snapshot_file_and_a_missing_pointer_are_refused(world: World) -> None:
    world.publish("c").unlink()
    world.live.refresh()
    (world.workspace.snapshots / "items.json").unlink()
    world.live.refresh()

    assert world.served() == ["a", "b"]
    assert world.outcomes == ["refused", "refused"]


def test_a_started_table_finds_a_new_snapshot_by_itself(world: World) -> None:
    world.live.start()
    world.publish("new")
    deadline = time.monotonic() + 2
    while world.served() != ["new"] and time.monotonic() < deadline:
        time.sleep(0.01)
    world.live.close()

    assert world.served() == ["new"]


def test_old_snapshot_files_do_not_pile_up(world: World) -> None:
    for day in range(6):
        world.publish("a", f"item of day {day}", days=day)

    assert len(list(world.workspace.snapshots.glob("items-*.arrow"))) == 3
    assert newest_snapshot(world.workspace).as_of == AS_OF + timedelta(days=5)
