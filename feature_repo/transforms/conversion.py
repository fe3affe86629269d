"""How often an item was met in each way, from the weakest event type to the strongest."""

import ibis
from ibis.expr.types import Table

from feature_repo.transforms.moments import after, whole
from feature_repo.transforms.state import step_columns


def item_conversion(liked: Table, steps: tuple[str, ...]) -> Table:
    """One row for each item and moment, stamped one microsecond after it.

    Columns: item_id, event_timestamp and `item_step_1` and so on, the events so far of each of `steps`.
    """
    of_type = zip(step_columns(len(steps)), steps, strict=True)
    by_type = {name: (liked.event_type == kind).cast("int64").sum() for name, kind in of_type}
    moments = liked.group_by(["item_id", "timestamp"]).aggregate(**by_type)
    so_far = ibis.window(group_by="item_id", order_by="timestamp", preceding=None, following=0)
    return moments.select(
        "item_id",
        event_timestamp=after(moments.timestamp),
        **{name: whole(moments[name].sum().over(so_far)) for name in by_type},
    )
