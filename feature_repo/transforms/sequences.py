"""The last things that a user met, oldest first, after each of the user's moments.

A window function would copy the whole list for every event. Here a user's events are cut into blocks as long as the
longest list, so that each moment needs two slices: the end of the block before, and its own block up to the moment.
Time and memory grow with moments times the limit, however long a user's past.
"""

from collections.abc import Mapping

import ibis
from ibis.expr.types import ArrayValue, Table

from feature_repo.transforms.moments import after


def last_of_user(events: Table, *, limit: int, columns: Mapping[str, str]) -> Table:
    """One row for each (user, moment), stamped one microsecond after it.

    Columns: user_id, event_timestamp, and for each entry of `columns` a list of the last `limit` values of that event
    column; events of one moment in the order of their item ids. Values are never null.
    """
    order = [events.timestamp, events.item_id, events.event_id]
    place = ibis.row_number().over(ibis.window(group_by="user_id", order_by=order)).cast("int64")
    numbered = events.select("user_id", "timestamp", place=place, **{new: events[old] for new, old in columns.items()})
    numbered = numbered.mutate(block=numbered.place // limit)
    # Sorted as structures: not every engine collects in an order of its own.
    cells = ibis.struct({name: numbered[name] for name in ("place", *columns)})
    blocks = numbered.group_by(["user_id", "block"]).aggregate(cells=cells.collect().sort())
    blocks = blocks.select(
        "user_id", "block", **{f"list_{name}": blocks.cells.map(lambda cell, n=name: cell[n]) for name in columns}
    )
    before = blocks.select(
        "user_id", block=blocks.block + 1, **{f"before_{name}": blocks[f"list_{name}"] for name in columns}
    )
    ends = numbered.group_by(["user_id", "timestamp"]).aggregate(place=numbered.place.max())
    ends = ends.mutate(block=ends.place // limit, used=ends.place % limit + 1)
    own = ends.join(blocks, ["user_id", "block"])
    joined = own.left_join(before, ["user_id", "block"])
    return joined.select(
        "user_id",
        event_timestamp=after(joined.timestamp),
        **{name: _last(joined[f"before_{name}"], joined[f"list_{name}"], joined.used) for name in columns},
    )


def _last(before: ArrayValue, own: ArrayValue, used: ibis.expr.types.IntegerValue) -> ArrayValue:
    # The block before is full: dropping as many of its values as the own block gives leaves `limit` of both.
    recent = own[:used]
    return ibis.ifelse(before.isnull(), recent, before[used:].concat(recent))
