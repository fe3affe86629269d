"""State of one key after each of its moments: counts by day, for any window to be summed at request time."""

import ibis
from ibis.expr.types import Table

from feature_repo.transforms.moments import after, days_of, whole
from feature_repo.transforms.state import BUCKETS


def activity_state(events: Table, *, key: str, prefix: str, with_amounts: bool = False) -> Table:
    """One row for each (`key`, moment), stamped one microsecond after it and counting every event up to it.

    Columns: `key`, `event_timestamp`, and with `prefix` before their names: `event_count`, `first_event` and
    `last_event` (UTC microseconds), `days` (days since 1970, ascending, at most BUCKETS) and `counts` (same length);
    `with_amounts` also `amount` (thousandths of the events' values, summed) and `amounts` (the same by day).
    """
    measured = {"counts": events.count()}
    if with_amounts:
        measured["amounts"] = events.thousandths.sum().fill_null(0)
    moments = events.group_by([key, "timestamp", "moment_us"]).aggregate(**measured)
    moments = moments.mutate(day=days_of(moments.moment_us))
    so_far = ibis.window(group_by=key, order_by="timestamp", preceding=None, following=0)
    so_far_today = ibis.window(group_by=[key, "day"], order_by="timestamp", preceding=None, following=0)
    running = moments.mutate(
        first_event=moments.moment_us.min().over(so_far),
        **{f"all_{name}": whole(moments[name].sum().over(so_far)) for name in measured},
        **{f"today_{name}": whole(moments[name].sum().over(so_far_today)) for name in measured},
    )
    by_day = moments.group_by([key, "day"]).aggregate(**{name: whole(moments[name].sum()) for name in measured})
    earlier = ibis.window(group_by=key, order_by="day", preceding=(BUCKETS - 1, 1))
    history = by_day.select(
        key,
        "day",
        **{f"earlier_{name}": by_day[name].collect().over(earlier) for name in ("day", *measured)},
    )
    joined = running.join(history, [key, "day"])
    none = ibis.literal([], type="array<int64>")
    today = {"day": joined.day, **{name: joined[f"today_{name}"] for name in measured}}
    by_day_lists = {
        name: joined[f"earlier_{name}"].coalesce(none).concat(ibis.array([now])) for name, now in today.items()
    }
    state = {
        "event_count": joined.all_counts,
        "first_event": joined.first_event,
        "last_event": joined.moment_us,
        "days": by_day_lists["day"],
        "counts": by_day_lists["counts"],
    }
    if with_amounts:
        state |= {"amount": joined.all_amounts, "amounts": by_day_lists["amounts"]}
    return joined.select(
        key,
        event_timestamp=after(joined.timestamp),
        **{f"{prefix}_{name}": column for name, column in state.items()},
    )
