"""The consumer with a real journal and a real folder of events; the online store is a dictionary."""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tiny_log import at

from feature_repo.core.errors import MissingArtifact, StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.cleaning import Cleaning
from feature_repo.dataset.split import from_microseconds
from feature_repo.dataset.tombstone import add_tombstone
from feature_repo.store.coverage import write_coverage
from feature_repo.stream.bus import EventBus, Message
from feature_repo.stream.connect import open_bus, stream_folder
from feature_repo.stream.consumer import Consumer
from feature_repo.stream.journal import open_journal
from feature_repo.stream.payload import Rules
from feature_repo.stream.quarantine import read_refused
from feature_repo.stream.sort_out import Counts

RULES = Rules({"view": 1, "hide": -1}, Cleaning(), valued=True)
BATCH_ROW = {
    "user_event_count": 5,
    "user_first_event": at(0),
    "user_last_event": at(0.9),
    "user_amount": 7,
    "user_days": [at(0) // 86_400_000_000],
    "user_counts": [5],
    "user_amounts": [7],
    "history_items": ["a"],
    "history_times": [at(0.9)],
    "seen_items": ["z", "a"],
}


class Online:
    """Views in memory. `batch` are the rows that `make materialize` wrote; `fail_after` pushes the store is down."""

    def __init__(self) -> None:
        self.views = ("user_activity", "user_history", "user_seen", "user_hidden")
        self.tastes = ()
        self.rows: dict[str, dict[str, Any]] = {}
        self.batch: dict[str, dict[str, Any]] = {}
        self.fail_after = 1_000_000

    def read(self, user_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {user: dict(self.rows.get(user, self.batch.get(user, {}))) for user in user_ids}

    def read_batch(self, user_ids: Sequence[str], moment_us: int) -> dict[str, dict[str, Any]]:
        assert moment_us > 0
        return {user: dict(self.batch.get(user, {})) for user in user_ids}

    def push(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        for view_rows in rows.values():
            self.fail_after -= 1
            if self.fail_after < 0:
                raise StoreUnavailable("the online store did not answer")
            for row in view_rows:
                known = self.rows.setdefault(row["user_id"], {"event_timestamp": 0})
                assert row["event_timestamp"] >= known["event_timestamp"]
                known.update(row)


class World:
    """A workspace whose batch state covers the time before day 1."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.workspace = Workspace(root=folder, store=folder / "store")
        self.online = Online()
        self._stack = stack
        self.covers(1)

    def covers(self, day: float) -> None:
        write_coverage(self.workspace, until=from_microseconds(at(day)))

    def start(self, *, bus: Callable[[EventBus], EventBus] = lambda bus: bus, **options: Any) -> Consumer:
        self._stack.close()
        opened, journal = open_bus(self.workspace, ""), open_journal(stream_folder(self.workspace) / "journal.db")
        self._stack.callback(journal.close)
        self._stack.callback(opened.close)
        clock = from_microseconds(at(100)) + timedelta(0)
        consumer = Consumer(
            self.workspace,
            bus=bus(opened),
            journal=journal,
            open_views=lambda: self.online,  # type: ignore[arg-type,return-value]
            rules=RULES,
            now=lambda: clock,
            **options,
        )
        consumer.start()
        return consumer

    def publish(self, *events: dict[str, Any] | bytes) -> None:
        payloads = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
        open_bus(self.workspace, "").publish([Message("", payload) for payload in payloads])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


def event(number: int, user: str = "u1", *, day: float = 2, kind: str = "view") -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "user_id": user,
        "item_id": f"i{number}",
        "timestamp": at(day),
        "event_type": kind,
        "value": 1,
    }


def drain(consumer: Consumer, limit: int = 10) -> Counts:
    counts = Counts()
    while (got := consumer.step(limit, timeout=0)).read:
        counts += got
    return counts


def test_events_become_rows_and_every_record_is_accounted_for(world: World) -> None:
    world.publish(event(1), event(2, "u2"), event(1), event(3, day=0.5), b"garbage", event(4, kind="hide"))

    counts = drain(world.start())

    assert counts == Counts(read=6, applied=3, repeated=1, late=1, refused=1)
    assert world.online.rows["u1"]["user_event_count"] == 2
    assert world.online.rows["u1"]["history_items"] == ["i1"]
    assert world.online.rows["u1"]["seen_items"] == ["i1", "i4"]
    assert world.online.rows["u2"]["user_amount"] == 1_000
    assert [r.reason for r in read_refused(world.workspace).values()] == ["not a JSON object"]


def test_an_item_is_hidden_once_for_all_however_the_consumer_ends(world: World) -> None:
    """Killed between journal and push: what the event said of the item must come back from the journal."""
    world.online.batch["u1"] = {**BATCH_ROW, "hidden_items": ["z"]}
    world.publish(event(4, kind="hide"), event(5))
    consumer = world.start()
    world.online.fail_after = 0
    with pytest.raises(StoreUnavailable):
        drain(consumer)
    world.online.fail_after = 1_000_000

    drain(world.start())

    assert world.online.rows["u1"]["hidden_items"] == ["z", "i4"]
    assert world.online.rows["u1"]["history_items"] == ["a", "i5"]


def test_the_stream_goes_on_from_the_row_that_the_batch_wrote(world: World) -> None:
    world.online.batch["u1"] = BATCH_ROW
    world.publish(event(1))

    drain(world.start())

    row = world.online.rows["u1"]
    assert (row["user_event_count"], row["user_first_event"], row["user_amount"]) == (6, at(0), 1_007)
    assert (row["history_items"], row["seen_items"]) == (["a", "i1"], ["z", "a", "i1"])


def test_an_event_that_comes_again_much_later_is_still_known(world: World) -> None:
    world.publish(event(1))
    drain(world.start())
    world.publish(event(1), event(2))

    counts = drain(world.start())

    assert counts == Counts(read=2, applied=1, repeated=1)
    assert world.online.rows["u1"]["user_event_count"] == 2


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


class CrashingBus:
    """The bus it wraps, until a commit kills the process before or after it took effect."""

    def __init__(self, bus: EventBus, *, after: bool) -> None:
        self._bus, self._after = bus, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    def commit(self) -> None:
        if self._after:
            self._bus.commit()
        raise Killed


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_around_the_commit_counts_nothing_twice(world: World, after: bool) -> None:
    world.publish(*(event(n, f"u{n % 3}") for n in range(9)))
    with pytest.raises(Killed):
        world.start(bus=lambda bus: CrashingBus(bus, after=after)).step(5, timeout=0)

    counts = drain(world.start())

    assert counts.applied == 4
    assert counts.repeated == (0 if after else 5)
    assert [world.online.rows[f"u{n}"]["user_event_count"] for n in range(3)] == [3, 3, 3]


@pytest.mark.parametrize("pushes", [0, 1, 2])
def test_a_store_that_goes_down_in_the_middle_of_a_push_gets_the_rows_at_the_next_start(
    world: World, pushes: int
) -> None:
    world.publish(event(1), event(2, "u2"))
    consumer = world.start()
    world.online.fail_after = pushes
    with pytest.raises(StoreUnavailable):
        consumer.step(10, timeout=0)
    world.online.fail_after = 1_000_000

    counts = drain(world.start())

    assert counts == Counts(read=2, repeated=2)
    for user, item in (("u1", "i1"), ("u2", "i2")):
        row = world.online.rows[user]
        assert (row["user_event_count"], row["history_items"], row["seen_items"]) == (1, [item], [item])


@pytest.mark.parametrize("seed", range(5))
def test_kills_at_random_lose_nothing_and_count_nothing_twice(world: World, seed: int) -> None:
    rng = random.Random(seed)
    events = [event(n, f"u{rng.randrange(4)}", day=2 + rng.randrange(5)) for n in range(60)]
    world.publish(*events[:30])
    world.publish(*events[20:])
    for _ in range(12):
        world.online.fail_after = 1_000_000
        consumer = world.start()
        world.online.fail_after = rng.randrange(8)
        try:
            drain(consumer, limit=rng.randrange(1, 9))
        except StoreUnavailable:
            continue

    world.online.fail_after = 1_000_000
    drain(world.start())

    for user in {e["user_id"] for e in events}:
        mine = sorted((e["timestamp"], e["item_id"]) for e in events if e["user_id"] == user)
        assert world.online.rows[user]["user_event_count"] == len(mine)
        assert world.online.rows[user]["history_items"] == [item for _, item in mine]


def test_a_new_batch_state_replaces_the_old_one_and_what_it_holds_is_not_counted_again(world: World) -> None:
    world.publish(event(1, day=2), event(2, day=4), event(3, "u2", day=2))
    consumer = world.start()
    drain(consumer)
    world.online.batch = {
        user: dict(row, user_event_count=10, user_last_event=at(2), history_items=["x"], history_times=[at(2)])
        for user, row in world.online.rows.items()
    }
    world.covers(3)

    consumer.step(10, timeout=0)
    world.publish(event(3, "u2", day=2), event(4, day=4))
    counts = drain(consumer)

    assert counts == Counts(read=2, applied=1, late=1)
    assert world.online.rows["u1"]["user_event_count"] == 12
    assert world.online.rows["u1"]["history_items"] == ["x", "i2", "i4"]
    assert world.online.rows["u2"]["user_event_count"] == 10


def test_a_journal_that_is_full_counts_its_oldest_events_into_base_rows(world: World) -> None:
    world.publish(*(event(n, f"u{n % 2}", day=2 + n) for n in range(40)))
    consumer = world.start(journal_events=20)
    drain(consumer)
    world.publish(event(100, "u0", day=50), event(0, "u0", day=2), event(101, "u0", day=1.5))

    counts = drain(world.start(journal_events=20))

    assert counts == Counts(read=3, applied=1, late=2)
    row = world.online.rows["u0"]
    assert row["user_event_count"] == 21
    assert row["history_items"] == [f"i{n}" for n in range(0, 40, 2)] + ["i100"]
    assert row["seen_items"] == row["history_items"]
    assert len(row["user_days"]) == 21


def test_what_an_erased_user_does_is_not_counted_and_not_kept(world: World) -> None:
    add_tombstone(world.workspace, "u1")
    world.publish(event(1), {"user_id": "u1", "item_id": ""}, event(2, "u2"), {"user_id": "\ud800"})

    counts = drain(world.start())

    assert counts == Counts(read=4, applied=1, erased=1, refused=2)
    assert set(world.online.rows) == {"u2"}
    assert [record.user_id for record in read_refused(world.workspace).values()] == [None]


def test_a_user_erased_beside_a_running_consumer_is_forgotten_by_it(world: World) -> None:
    world.publish(event(1))
    consumer = world.start()
    drain(consumer)
    journal = open_journal(stream_folder(world.workspace) / "journal.db")
    journal.erase("u1")
    journal.close()
    world.online.rows.clear()
    world.publish(event(2))

    drain(consumer)

    assert world.online.rows["u1"]["history_items"] == ["i2"]


def test_a_refused_record_is_in_the_quarantine_once_however_often_it_came(world: World) -> None:
    world.publish(b"\xff", event(1, kind="sold"), event(2))
    for _ in range(2):
        with pytest.raises(Killed):
            world.start(bus=lambda bus: CrashingBus(bus, after=False)).step(10, timeout=0)
    file = stream_folder(world.workspace) / "quarantine.jsonl"
    file.write_text(file.read_text() + '{"position": "cut off')

    drain(world.start())

    found = {(r.reason, r.user_id) for r in read_refused(world.workspace).values()}
    assert len(read_refused(world.workspace)) == 2
    assert found == {("not a JSON object", None), ("event type has no weight", "u1")}


def test_without_a_batch_state_the_consumer_says_what_to_run(tmp_path: Path) -> None:
    with ExitStack() as stack:
        world = World(tmp_path, stack)
        (world.workspace.snapshots / "online.json").unlink()

        with pytest.raises(MissingArtifact, match="run `make materialize` first"):
            world.start()
