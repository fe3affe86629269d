"""How many distinct users an item reached in the last days, without keeping who they were.

A user counts for an item on the n days after a day on which the user met it; such stretches of days overlap and join.
Adding one where a stretch begins and taking one away where it ends gives the exact number of distinct users by day.
"""

import ibis
from ibis.expr.types import IntegerValue, Table

from feature_repo.transforms.moments import days_of, midnight, whole
from feature_repo.transforms.state import REACH_WINDOWS


def item_reach(events: Table) -> Table:
    """One row for each item and day on which a count changes, stamped at the first moment of that day.

    Columns: item_id, event_timestamp, and `item_users_<n>d` for each of REACH_WINDOWS: distinct users with an event in
    the n whole days before. Users leave a window without an event, so rows go on after the item's last one.
    """
    met = events.select("item_id", "user_id", day=days_of(events.moment_us)).distinct()
    in_order = ibis.window(group_by=["item_id", "user_id"], order_by="day")
    met = met.mutate(since=met.day - met.day.lag().over(in_order), until=met.day.lead().over(in_order) - met.day)
    begins = met.select(
        "item_id",
        day=met.day + 1,
        **{_name(n): (met.since.isnull() | (met.since >= n)).cast("int64") for n in REACH_WINDOWS},
    )
    changes = ibis.union(begins, *(_ends(met, n) for n in REACH_WINDOWS))
    by_day = changes.group_by(["item_id", "day"]).aggregate(
        **{_name(n): whole(changes[_name(n)].sum()) for n in REACH_WINDOWS}
    )
    changed = by_day.filter(ibis.or_(*(by_day[_name(n)] != 0 for n in REACH_WINDOWS)))
    so_far = ibis.window(group_by="item_id", order_by="day", preceding=None, following=0)
    counts = changed.select("item_id", "day", **{_name(n): _running(changed, n, so_far) for n in REACH_WINDOWS})
    return counts.mutate(event_timestamp=midnight(counts.day)).drop("day")


def _ends(met: Table, window: int) -> Table:
    """The days on which a user leaves the window for lack of a later event."""
    left = met.filter(met.until.isnull() | (met.until >= window))
    minus = {_name(n): ibis.literal(-1 if n == window else 0, "int64") for n in REACH_WINDOWS}
    return left.select("item_id", day=left.day + window + 1, **minus)


def _running(changed: Table, window: int, so_far: ibis.expr.builders.WindowBuilder) -> IntegerValue:
    return whole(changed[_name(window)].sum().over(so_far))


def _name(window: int) -> str:
    return f"item_users_{window}d"
