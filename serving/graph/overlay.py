"""A user's stored row with the events laid over it that the store does not hold yet.

The numbers are those that the stream's consumer will write: both call `feature_repo.stream.state.advance`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from feature_repo.stream.payload import StreamEvent
from feature_repo.stream.state import advance, row_of, state_of_row
from feature_repo.transforms.state import HISTORY_ITEMS


def with_recent(row: Mapping[str, Any], events: Sequence[StreamEvent], *, moment_us: int) -> Mapping[str, Any]:
    """`row` (raw features by name) after `events` (in order of arrival); `row` itself where it holds them already.

    An event stamped after `moment_us`, the request's moment, counts as met just then: a page that asks about the end
    of an old log is clicked today.
    """
    new = not_in(row, events)
    if not new:
        return row
    came = [event if event.moment_us <= moment_us else replace(event, moment_us=moment_us) for event in new]
    stored = {**row, "user_amount": row.get("user_amount") or 0}
    stored.setdefault("user_days", [])
    stored.setdefault("user_counts", [])
    if len(stored.get("user_amounts") or ()) != len(stored["user_days"]):
        stored["user_amounts"] = [0] * len(stored["user_days"])  # a store of a data set without values keeps none
    return {**row, **row_of(advance(state_of_row(stored), came))}


def not_in(row: Mapping[str, Any], events: Sequence[StreamEvent]) -> Sequence[StreamEvent]:
    """Those of `events` that `row` does not hold yet. A consumer takes a user's events in the order of their arrival.

    So if the row holds one of them, it holds all that arrived before it.
    """
    if not events or not row.get("user_event_count"):
        return events
    last = int(row["user_last_event"])
    times: Sequence[int] = row.get("history_times") or ()
    items: Sequence[str] = row.get("history_items") or ()
    history = set(zip(times, items, strict=True))
    dropped = times[0] if len(times) >= HISTORY_ITEMS else None  # what is older fell off the end of the list

    def holds(event: StreamEvent) -> bool:
        if event.liked:
            return (event.moment_us, event.item_id) in history or (dropped is not None and event.moment_us < dropped)
        return event.moment_us <= last

    return events[next((place for place in range(len(events), 0, -1) if holds(events[place - 1])), 0) :]
