"""What the stream has counted since the batch state was made: SQLite, one transaction for each batch of the bus.

The journal is why at least once becomes exactly once. An event is counted by being in it, so an event that is delivered
again is known by its id; and a state is a function of a batch row and of the events in here, so it can be made again
after a kill at any moment. Every batch costs one fsync, before its rows are pushed.

It holds events from `horizon_us` on. Events before it are in the batch state, or in the base rows here: when there are
more than a stated number, the oldest are counted into the base rows and forgotten, and the horizon moves up to them.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from feature_repo.stream.payload import StreamEvent

CHUNK = 500  # bound variables of one query
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS base (user_id TEXT PRIMARY KEY, row TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS touched (user_id TEXT PRIMARY KEY, stamp_us INTEGER NOT NULL, batch INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS touched_batch ON touched (batch);
CREATE TABLE IF NOT EXISTS event (
    event_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, item_id TEXT NOT NULL, moment_us INTEGER NOT NULL,
    liked INTEGER NOT NULL, thousandths INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS event_user ON event (user_id);
CREATE INDEX IF NOT EXISTS event_moment ON event (moment_us);
"""
Row = Mapping[str, Any]


class Journal:
    """One consumer writes it; `erase` may come from another process."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._version = self._data_version()
        self._batch = int(self._scalar("SELECT coalesce(max(batch), 0) FROM touched"))
        self._events = self._count()

    @property
    def generation(self) -> str | None:
        """Of the batch state that the base rows are of."""
        return self._meta("generation")

    @property
    def horizon_us(self) -> int:
        return int(self._meta("horizon_us") or 0)

    @property
    def events(self) -> int:
        """How many events are in it."""
        return self._events

    def known(self, event_ids: Sequence[str]) -> set[str]:
        """Those of `event_ids` that were counted."""
        return {row[0] for row in self._select("SELECT event_id FROM event WHERE event_id IN", event_ids)}

    def bases(self, user_ids: Sequence[str]) -> dict[str, Row]:
        """The base row of each user that has one here; an unknown user's is empty."""
        return {user: json.loads(row) for user, row in self._select("SELECT * FROM base WHERE user_id IN", user_ids)}

    def stamps(self, user_ids: Sequence[str]) -> dict[str, int]:
        return dict(self._select("SELECT user_id, stamp_us FROM touched WHERE user_id IN", user_ids))

    def events_of(self, user_ids: Sequence[str]) -> dict[str, list[StreamEvent]]:
        events: dict[str, list[StreamEvent]] = defaultdict(list)
        for row in self._select("SELECT * FROM event WHERE user_id IN", user_ids):
            events[row[1]].append(_event(row))
        return events

    def users(self) -> list[str]:
        return [row[0] for row in self._db.execute("SELECT user_id FROM touched ORDER BY user_id")]

    def last_batch(self) -> list[str]:
        """Users whose rows may not have reached the online store before a kill."""
        rows = self._db.execute("SELECT user_id FROM touched WHERE batch = ? ORDER BY user_id", (self._batch,))
        return [row[0] for row in rows]

    def record(self, events: Iterable[StreamEvent], *, bases: Mapping[str, Row], stamps: Mapping[str, int]) -> None:
        """Count `events`, in one durable transaction; `stamps` are the times of their users' new rows."""
        with self._db:
            self._put_bases(bases)
            cells = [_cells(event) for event in events]
            self._db.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", cells)
            self._touch(stamps)
        self._events += len(cells)

    def rebase(self, generation: str, horizon_us: int, *, bases: Mapping[str, Row], stamps: Mapping[str, int]) -> None:
        """Stand on another batch state, which holds the events before `horizon_us`."""
        with self._db:
            self._put_bases(bases)
            self._db.execute("DELETE FROM event WHERE moment_us < ?", (horizon_us,))
            self._touch(stamps)
            self._set_meta({"generation": generation, "horizon_us": str(horizon_us)})
        self._events = self._count()

    def forget_idle(self) -> None:
        """Forget users without events: their rows are the batch's own."""
        with self._db:
            for table in ("base", "touched"):
                self._db.execute(f"DELETE FROM {table} WHERE user_id NOT IN (SELECT user_id FROM event)")

    def shorten(self, horizon_us: int, bases: Mapping[str, Row]) -> None:
        """Forget the events before `horizon_us`, which `bases` hold from now on."""
        with self._db:
            self._put_bases(bases)
            self._db.execute("DELETE FROM event WHERE moment_us < ?", (horizon_us,))
            self._set_meta({"horizon_us": str(horizon_us)})
        self._events = self._count()

    def moment_after(self, events: int) -> int:
        """A horizon before which at least `events` of the oldest events are."""
        found = self._db.execute("SELECT moment_us FROM event ORDER BY moment_us LIMIT 1 OFFSET ?", (events - 1,))
        return int(found.fetchone()[0]) + 1

    def events_before(self, horizon_us: int) -> dict[str, list[StreamEvent]]:
        events: dict[str, list[StreamEvent]] = defaultdict(list)
        for row in self._db.execute("SELECT * FROM event WHERE moment_us < ?", (horizon_us,)):
            events[row[1]].append(_event(row))
        return events

    def erase(self, user_id: str) -> int:
        """Remove everything about one user; returns how many events there were."""
        with self._db:
            removed = self._db.execute("DELETE FROM event WHERE user_id = ?", (user_id,)).rowcount
            self._db.execute("DELETE FROM base WHERE user_id = ?", (user_id,))
            self._db.execute("DELETE FROM touched WHERE user_id = ?", (user_id,))
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(removed)

    def changed_by_others(self) -> bool:
        """Whether another process wrote since the last call."""
        before, self._version = self._version, self._data_version()
        return before != self._version

    def close(self) -> None:
        self._db.close()

    def _put_bases(self, bases: Mapping[str, Row]) -> None:
        rows = [(user, json.dumps(row)) for user, row in bases.items()]
        self._db.executemany("INSERT OR REPLACE INTO base VALUES (?, ?)", rows)

    def _touch(self, stamps: Mapping[str, int]) -> None:
        self._batch += 1
        rows = [(user, stamp, self._batch) for user, stamp in stamps.items()]
        self._db.executemany("INSERT OR REPLACE INTO touched VALUES (?, ?, ?)", rows)

    def _select(self, query: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(values), CHUNK):
            part = values[start : start + CHUNK]
            found += self._db.execute(f"{query} ({','.join('?' * len(part))})", part).fetchall()
        return found

    def _count(self) -> int:
        return int(self._scalar("SELECT count(*) FROM event"))

    def _meta(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _set_meta(self, values: Mapping[str, str]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    def _scalar(self, query: str) -> Any:
        return self._db.execute(query).fetchone()[0]

    def _data_version(self) -> int:
        return int(self._scalar("PRAGMA data_version"))


def open_journal(path: Path) -> Journal:
    """Open the journal at `path`, making it where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # the bus forgets a batch that is in here
    connection.execute("PRAGMA secure_delete = ON")  # who is erased is not left in free pages
    connection.execute("PRAGMA cache_size = -65536")  # kilobytes; event ids arrive in no order
    connection.executescript(_TABLES)
    return Journal(connection)


def _cells(event: StreamEvent) -> tuple[Any, ...]:
    return event.event_id, event.user_id, event.item_id, event.moment_us, _opinion(event), event.thousandths


def _opinion(event: StreamEvent) -> int:
    """What the column `liked` holds: 1, -1 where the event hides its item, else 0."""
    return -1 if event.hides else int(event.liked)


def _event(row: tuple[Any, ...]) -> StreamEvent:
    event_id, user_id, item_id, moment_us, liked, thousandths = row
    return StreamEvent(event_id, user_id, item_id, moment_us, liked > 0, thousandths, hides=liked < 0)
