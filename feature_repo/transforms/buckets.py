"""State of one key after each of its moments: counts by day, for any window to be summed at request time."""

import ibis
from ibis.expr.types import Table

from feature_repo.transforms.moments import after, days_of, whole

# The longest window is 90 days, and as many buckets as there are days in it are always enough.
BUCKETS = 90


def activity_state(events: Table, *, key: str, prefix: str) -> Table:
    """One row for each (`key`, moment), stamped one microsecond after it and counting every event up to it.

    Columns: `key`, `event_timestamp`, and with `prefix` before their names: `event_count`, `first_event` and
    `last_event` (UTC microseconds), `days` (days since 1970, ascending, at most BUCKETS) and `counts` (same length).
    """
    moments = (
        events.group_by([key, "timestamp", "moment_us"])
        .aggregate(events_now=events.count())
        .mutate(day=lambda t: days_of(t.moment_us))
    )
    so_far = ibis.window(group_by=key, order_by="timestamp", preceding=None, following=0)
    so_far_today = ibis.window(group_by=[key, "day"], order_by="timestamp", preceding=None, following=0)
    running = moments.mutate(
        event_count=whole(moments.events_now.sum().over(so_far)),
        first_event=moments.moment_us.min().over(so_far),
        today=whole(moments.events_now.sum().over(so_far_today)),
    )
    by_day = moments.group_by([key, "day"]).aggregate(total=whole(moments.events_now.sum()))
    earlier = ibis.window(group_by=key, order_by="day", preceding=(BUCKETS - 1, 1))
    history = by_day.mutate(
        earlier_days=by_day.day.collect().over(earlier), earlier_counts=by_day.total.collect().over(earlier)
    )
    joined = running.join(history, [key, "day"])
    no_days = ibis.literal([], type="array<int64>")
    return joined.select(
        key,
        event_timestamp=after(joined.timestamp),
        **{
            f"{prefix}_event_count": joined.event_count,
            f"{prefix}_first_event": joined.first_event,
            f"{prefix}_last_event": joined.moment_us,
            f"{prefix}_days": joined.earlier_days.coalesce(no_days).concat(ibis.array([joined.day])),
            f"{prefix}_counts": joined.earlier_counts.coalesce(no_days).concat(ibis.array([joined.today])),
        },
    )
