"""State of one user from a batch row and the events that came since: the same numbers as the batch transforms give.

A state does not depend on the order in which its events came. Late and equal moments are put in their place, and
whatever falls off the end of a capped list would have fallen off in any order.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from feature_repo.stream.payload import StreamEvent
from feature_repo.transforms.state import (
    BUCKETS,
    HIDDEN_ITEMS,
    HISTORY_ITEMS,
    MICROSECONDS_A_DAY,
    SEEN_ITEMS,
    TASTE_EVENTS,
)

ValuesOf = Callable[[str, int], Mapping[str, tuple[str, ...]]]  # (item id, moment) -> values of each taste attribute


@dataclass(frozen=True, slots=True)
class Day:
    """Events of one day since 1970, and the thousandths of their values."""

    day: int
    count: int
    amount: int


@dataclass(frozen=True, slots=True)
class UserState:
    """What the views of one user hold. Times are UTC microseconds; lists of items are (time, item id), ascending.

    `stamp_us` is the time that the last written row has in Feast.
    """

    event_count: int = 0
    first_event: int = 0
    last_event: int = 0
    amount: int = 0
    days: tuple[Day, ...] = ()
    history: tuple[tuple[int, str], ...] = ()
    seen: tuple[tuple[int, str], ...] = ()
    stamp_us: int = 0
    hidden: tuple[tuple[int, str], ...] = ()


def state_of_row(row: Mapping[str, Any] | None) -> UserState:
    """The state in a batch row, raw features by name; None or no activity is an unknown user."""
    if not row or not row.get("user_event_count"):
        return UserState()
    last = int(row["user_last_event"])
    days = zip(row["user_days"], row["user_counts"], row["user_amounts"], strict=True)
    times, items = row.get("history_times") or (), row.get("history_items") or ()
    return UserState(
        event_count=int(row["user_event_count"]),
        first_event=int(row["user_first_event"]),
        last_event=last,
        amount=int(row["user_amount"]),
        days=tuple(Day(int(day), int(count), int(amount)) for day, count, amount in days),
        history=tuple((int(time), str(item)) for time, item in zip(times, items, strict=True)),
        # Their own times are not kept; all of them are before any event of the stream.
        seen=tuple((last, str(item)) for item in row.get("seen_items") or ()),
        hidden=tuple((last, str(item)) for item in row.get("hidden_items") or ()),
        stamp_us=last + 1,
    )


def advance(state: UserState, events: Iterable[StreamEvent]) -> UserState:
    """`state` after more events of the user, in any order; no event may be in `state` already."""
    came = sorted(events, key=lambda event: event.moment_us)
    if not came:
        return state
    first, last = came[0].moment_us, max(came[-1].moment_us, state.last_event)
    return UserState(
        event_count=state.event_count + len(came),
        first_event=min(first, state.first_event) if state.event_count else first,
        last_event=last,
        amount=state.amount + sum(event.thousandths for event in came),
        days=_days(state.days, came),
        history=_last(state.history, (e for e in came if e.liked), HISTORY_ITEMS),
        seen=_last(state.seen, came, SEEN_ITEMS),
        hidden=_last(state.hidden, (e for e in came if e.hides), HIDDEN_ITEMS),
        # Feast can drop a row whose time is not after that of the row before.
        stamp_us=max(last, state.stamp_us) + 1,
    )


def row_of(state: UserState) -> dict[str, Any]:
    """The raw features by name that `state_of_row` makes the state of again."""
    history = _features("user_history", state, _no_values) or {}
    lists = {"seen_items": state.seen, "hidden_items": state.hidden}
    return {**_activity(state), **history, **{name: [item for _, item in kept] for name, kept in lists.items()}}


def rows_of(user_id: str, state: UserState, views: Iterable[str], values_of: ValuesOf) -> dict[str, dict[str, Any]]:
    """The row of each of `views` that has one, by view."""
    rows = {view: features for view in views if (features := _features(view, state, values_of)) is not None}
    return {view: {"user_id": user_id, "event_timestamp": state.stamp_us, **row} for view, row in rows.items()}


def _no_values(item_id: str, moment_us: int) -> Mapping[str, tuple[str, ...]]:  # noqa: ARG001
    return {}


def _features(view: str, state: UserState, values_of: ValuesOf) -> dict[str, Any] | None:
    if view == "user_activity":
        return _activity(state)
    if view == "user_seen":
        return {"seen_items": [item for _, item in state.seen]}
    if view == "user_hidden":  # who hid nothing has no row, as in the batch
        return {"hidden_items": [item for _, item in state.hidden]} if state.hidden else None
    if not state.history:  # who liked nothing has no row, as in the batch
        return None
    if view == "user_history":
        return {
            "history_items": [item for _, item in state.history],
            "history_times": [time for time, _ in state.history],
        }
    if view == "user_tastes":
        liked = [values_of(item, time) for time, item in state.history[-TASTE_EVENTS:]]
        return {f"taste_{name}": list(chain.from_iterable(v[name] for v in liked)) for name in liked[0]}
    raise KeyError(f"no state is known for the view {view!r}")


def _activity(state: UserState) -> dict[str, Any]:
    return {
        "user_event_count": state.event_count,
        "user_first_event": state.first_event,
        "user_last_event": state.last_event,
        "user_amount": state.amount,
        "user_days": [day.day for day in state.days],
        "user_counts": [day.count for day in state.days],
        "user_amounts": [day.amount for day in state.days],
    }


def _days(days: tuple[Day, ...], came: list[StreamEvent]) -> tuple[Day, ...]:
    by_day = {day.day: day for day in days}
    for event in came:
        day = event.moment_us // MICROSECONDS_A_DAY
        before = by_day.get(day, Day(day, 0, 0))
        by_day[day] = Day(day, before.count + 1, before.amount + event.thousandths)
    return tuple(by_day[day] for day in sorted(by_day)[-BUCKETS:])


def _last(known: tuple[tuple[int, str], ...], came: Iterable[StreamEvent], limit: int) -> tuple[tuple[int, str], ...]:
    merged = list(known)
    for event in came:
        insort(merged, (event.moment_us, event.item_id))
    return tuple(merged[-limit:])
