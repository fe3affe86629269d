"""The items that a user met last, oldest first, after each of the user's moments."""

import ibis
from ibis.expr.types import Table

from feature_repo.transforms.moments import after

HISTORY_ITEMS = 50  # what the query tower reads
SEEN_ITEMS = 1000  # what the filter of consumed items knows


def item_sequence(events: Table, *, limit: int, name: str, with_times: bool) -> Table:
    """One row for each (user, moment), stamped one microsecond after it.

    Columns: user_id, event_timestamp, `name`_items (the last `limit` item ids, oldest first; events of one moment in
    the order of their event ids) and, `with_times`, `name`_times (UTC microseconds, same length).
    """
    last = ibis.window(
        group_by="user_id", order_by=[events.timestamp, events.event_id], preceding=limit - 1, following=0
    )
    moment = ibis.window(group_by=["user_id", "timestamp"], order_by=ibis.desc("event_id"))
    collected = events.mutate(
        items=events.item_id.collect().over(last),
        times=events.moment_us.collect().over(last),
        from_end=ibis.row_number().over(moment),
    )
    ends = collected.filter(collected.from_end == 0)
    columns = {f"{name}_items": ends["items"]}
    if with_times:
        columns[f"{name}_times"] = ends["times"]
    return ends.select("user_id", event_timestamp=after(ends.timestamp), **columns)
