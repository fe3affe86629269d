"""From the bus into the online store: each event counts once, whatever is killed and whenever.

A batch is parsed, counted in the journal, pushed through Feast and then committed to the bus, in this order:

    killed before the journal   nothing has happened; the bus delivers the batch again
    killed before the push      the next start pushes the rows of the journal's last batch again
    killed before the commit    the bus delivers the batch again; the journal knows its events by their ids

This needs one writer for a user, so one consumer runs for a workspace: a lock in `store/stream/` sees to that. A second
one waits for nothing and ends with a sentence; when one core is not enough, users are divided over workspaces.

Events that the batch state holds already are not counted again. When `make materialize` fills the online store anew,
whatever it holds by then leaves the journal, and the rows of every user in the journal are made again from the new
batch rows and the events that came after them. Until that is noticed, at the next batch, a reader may see an older row.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.tombstone import read_tombstones
from feature_repo.store.coverage import read_coverage
from feature_repo.stream.bus import EventBus
from feature_repo.stream.item_values import read_item_values
from feature_repo.stream.journal import Journal, Row
from feature_repo.stream.online_views import CHUNK, OnlineViews
from feature_repo.stream.payload import Rules, StreamEvent
from feature_repo.stream.quarantine import append_refused
from feature_repo.stream.sort_out import Counts, sort_out
from feature_repo.stream.state import UserState, advance, row_of, rows_of, state_of_row

ACTIVE_USERS = 10_000  # whose states stay in memory, at most some 30 kilobytes each
JOURNAL_EVENTS = 2_000_000  # some 200 bytes each
ALWAYS_CHANGED = ("user_activity", "user_seen", "user_hidden")  # the other views change with liked events only


class Consumer:
    """Call `start` once, then `step` for each batch. `now` is the clock that events are checked against."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        bus: EventBus,
        journal: Journal,
        open_views: Callable[[], OnlineViews],
        rules: Rules,
        now: Callable[[], datetime],
        journal_events: int = JOURNAL_EVENTS,
    ) -> None:
        self._workspace = workspace
        self._bus = bus
        self._journal = journal
        self._open_views = open_views
        self._rules = rules
        self._now = now
        self._journal_events = journal_events
        self._states: OrderedDict[str, UserState] = OrderedDict()

    def start(self) -> None:
        """Open the online views, and push again what a kill may have kept from them."""
        self._read_definitions()
        if not self._follow_materialize():
            self._push_whole(self._journal.last_batch())

    def step(self, limit: int, *, timeout: float) -> Counts:
        """Take at most `limit` records from the bus all the way; waits at most `timeout` seconds for the first."""
        records = self._bus.read(limit, timeout=timeout)
        self._follow_materialize()
        if self._journal.changed_by_others():
            self._states.clear()
        if not records:
            return Counts()
        found = sort_out(
            records,
            self._rules,
            now=self._now(),
            horizon_us=self._journal.horizon_us,
            known=self._journal.known,
            erased=read_tombstones(self._workspace).among,
        )
        append_refused(self._workspace, found.refused)
        if found.events:
            self._apply(found.events)
        self._bus.commit()
        return found.counts

    def _apply(self, events: Iterable[StreamEvent]) -> None:
        by_user: dict[str, list[StreamEvent]] = {}
        for event in events:
            by_user.setdefault(event.user_id, []).append(event)
        bases: dict[str, Row] = {}
        before = self._load(list(by_user), first_seen=bases)
        after = {user: advance(before[user], came) for user, came in by_user.items()}
        self._journal.record(
            (event for came in by_user.values() for event in came),
            bases=bases,
            stamps={user: state.stamp_us for user, state in after.items()},
        )
        self._remember(after)
        self._push(after, {user: any(event.liked for event in came) for user, came in by_user.items()})
        if self._journal.events > self._journal_events:
            self._shorten_journal()

    def _load(self, users: Sequence[str], first_seen: dict[str, Row] | None = None) -> dict[str, UserState]:
        """States of users; the batch rows of users that the journal does not know are added to `first_seen`."""
        states = {user: self._states[user] for user in users if user in self._states}
        missing = [user for user in users if user not in states]
        bases = self._journal.bases(missing)
        unknown = [user for user in missing if user not in bases]
        if unknown and first_seen is not None:
            first_seen.update(self._views.read(unknown))
            bases |= first_seen
        events, stamps = self._journal.events_of(missing), self._journal.stamps(missing)
        for user in missing:
            state = advance(state_of_row(bases.get(user)), events.get(user, ()))
            states[user] = replace(state, stamp_us=max(state.stamp_us, stamps.get(user, 0)))
        return states

    def _push(self, states: Mapping[str, UserState], liked: Mapping[str, bool]) -> None:
        """Write the rows of `states`; where `liked` says that a user liked nothing new, only what changed."""
        rows: dict[str, list[dict[str, object]]] = {}
        for user, state in states.items():
            views = [v for v in self._views.views if liked.get(user, True) or v in ALWAYS_CHANGED]
            for view, row in rows_of(user, state, views, self._values_of).items():
                rows.setdefault(view, []).append(row)
        self._views.push(rows)

    def _push_whole(self, users: Sequence[str]) -> None:
        for start in range(0, len(users), CHUNK):
            self._push(self._load(users[start : start + CHUNK]), {})

    def _remember(self, states: Mapping[str, UserState]) -> None:
        for user, state in states.items():
            self._states[user] = state
            self._states.move_to_end(user)
        while len(self._states) > ACTIVE_USERS:
            self._states.popitem(last=False)

    def _follow_materialize(self) -> bool:
        """Stand on the batch state that the online store holds now; returns whether it was another one."""
        coverage = read_coverage(self._workspace)
        if coverage.generation == self._journal.generation:
            return False
        self._read_definitions()
        users = self._journal.users()
        bases = self._views.read_batch(users, coverage.until_us)
        stamps = {user: stamp + 1 for user, stamp in self._journal.stamps(users).items()}
        self._journal.rebase(coverage.generation, coverage.until_us, bases=bases, stamps=stamps)
        self._states.clear()
        self._push_whole(users)
        self._journal.forget_idle()
        return True

    def _shorten_journal(self) -> None:
        horizon = self._journal.moment_after(self._journal_events // 10)
        events = self._journal.events_before(horizon)
        bases = self._journal.bases(list(events))
        moved = {user: row_of(advance(state_of_row(bases.get(user)), came)) for user, came in events.items()}
        self._journal.shorten(horizon, moved)

    def _read_definitions(self) -> None:
        self._views = self._open_views()
        self._values_of = read_item_values(self._workspace.tables / "item_metadata.parquet", self._views.tastes)
