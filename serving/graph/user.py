"""Stage 1, the user: the stored row, the events since, and what was declared. One read of the store.

The first rung of the ladder is here: a store that fails is not an unknown user. Then the row that this process read
last counts; and where there is none, the answer has to do without a row (`User.row` is None).
"""

import marshal
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from feature_repo.core.errors import StoreUnavailable
from feature_repo.dataset.split import to_microseconds
from serving.graph.bounded_reader import BoundedReader
from serving.graph.deadline import Deadline
from serving.graph.last_known import LastKnown
from serving.graph.later import Later
from serving.graph.meter import Meter
from serving.graph.overlay import with_recent
from serving.graph.preferences import NONE, UNTIL_INTERACTIONS, Preferences
from serving.graph.recent import EVENTS_OF_A_USER, Recent
from serving.graph.visit import User


class RecentPort(Protocol):
    """What users did since the store was written."""

    def of(self, user_id: str) -> Recent: ...


class DeclaredPort(Protocol):
    """What users declared."""

    def of(self, user_id: str) -> Preferences: ...


class RowPort(Protocol):
    """The feature store. `row_at_once` is its read that never waits, None where there is none."""

    def user_row(self, user_id: str) -> Mapping[str, Any]: ...

    @property
    def row_at_once(self) -> Callable[[str], Mapping[str, Any]] | None: ...


@dataclass(frozen=True)
class Stored:
    """What one read brings: the row, and for a user with few interactions what was declared."""

    row: Mapping[str, Any]
    preferences: Preferences = NONE


class StoredReader:
    """Reads the row and, while they still count, the declared preferences; where possible at once."""

    def __init__(self, rows: RowPort, declared: DeclaredPort) -> None:
        self._read_row = rows.user_row
        self._row_at_once = rows.row_at_once
        self._declared = declared

    def read(self, user_id: str) -> Stored:
        return self._with_declared(user_id, self._read_row(user_id))

    @property
    def at_once(self) -> Callable[[str], Stored] | None:
        """The same without waiting; None where the store has no such read."""
        row_at_once = self._row_at_once
        return None if row_at_once is None else lambda user_id: self._with_declared(user_id, row_at_once(user_id))

    def _with_declared(self, user_id: str, row: Mapping[str, Any]) -> Stored:
        if interactions_of(row) >= UNTIL_INTERACTIONS:
            return Stored(row)
        return Stored(row, self._declared.of(user_id))


class BoundedRows:
    """The rows alone, with the same limit, for what is no answer to /recommend."""

    def __init__(self, reader: BoundedReader[Stored]) -> None:
        self._reader = reader

    def user_row(self, user_id: str) -> Mapping[str, Any]:
        """Raises StoreUnavailable when the store fails, or is too slow."""
        return self._reader.read(user_id, within=math.inf).row


class UserStage:
    """Gives the User of a request; the reader limits how long that takes."""

    def __init__(
        self,
        reader: BoundedReader[Stored],
        known: LastKnown[tuple[bytes, Preferences]],
        recent: RecentPort,
        *,
        meter: Meter,
        later: Later,
    ) -> None:
        self._reader = reader
        self._known = known
        self._recent = recent
        self._meter = meter
        self._later = later

    def user(self, user_id: str, moment: datetime, deadline: Deadline) -> User:
        started = time.perf_counter()
        try:
            stored = self._reader.read(user_id, within=deadline.left(started))
        except StoreUnavailable:
            return self._timed(started, self._without_store(user_id, moment))
        return self._timed(started, self._with_store(user_id, stored, moment))

    async def user_async(self, user_id: str, moment: datetime, deadline: Deadline) -> User:
        """The same; other requests are answered while a slow store is waited for."""
        started = time.perf_counter()
        try:
            stored = await self._reader.read_async(user_id, within=deadline.left(started))
        except StoreUnavailable:
            return self._timed(started, self._without_store(user_id, moment))
        return self._timed(started, self._with_store(user_id, stored, moment))

    def _with_store(self, user_id: str, stored: Stored, moment: datetime) -> User:
        self._later.add(partial(self._remember, user_id, stored, now=time.monotonic()))
        return user_of(stored, self._recent.of(user_id), moment)

    def _remember(self, user_id: str, stored: Stored, *, now: float) -> None:
        # As bytes: a row's objects take several times as much memory.
        self._known.remember(user_id, (marshal.dumps(dict(stored.row)), stored.preferences), now=now)

    def _without_store(self, user_id: str, moment: datetime) -> User:
        self._later.run()  # what was read a moment ago is what is known last
        known, recent = self._known.of(user_id, now=time.monotonic()), self._recent.of(user_id)
        if known is None:
            self._meter.rung("no_row")
            return User(None, ("features",), recent.hidden, recent.met)
        self._meter.rung("last_known_row")
        row, preferences = known.value
        stored = Stored(marshal.loads(row), preferences)
        return user_of(stored, recent, moment, degraded=("features",))

    def _timed(self, started: float, user: User) -> User:
        self._meter.stage("user", time.perf_counter() - started)
        return user


def user_of(stored: Stored, recent: Recent, moment: datetime, *, degraded: tuple[str, ...] = ()) -> User:
    """The stored row with what came since laid over it."""
    row = stored.row
    if recent.events:
        row = with_recent(row, recent.events, moment_us=to_microseconds(moment))
    interactions = interactions_of(row)
    preferences = stored.preferences if interactions < UNTIL_INTERACTIONS else NONE
    hidden = tuple(dict.fromkeys((*(row.get("hidden_items") or ()), *recent.hidden)))[-EVENTS_OF_A_USER:]
    return User(row, degraded, hidden, recent.met, preferences, interactions)


def interactions_of(row: Mapping[str, Any]) -> int:
    return int(row.get("user_event_count") or 0)
