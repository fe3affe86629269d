"""What was paid for an item, or how it was rated, after each moment at which somebody did."""

import ibis
from ibis.expr.types import Table

from feature_repo.transforms.moments import after, whole


def item_value(events: Table) -> Table:
    """One row for each item and moment with a value, stamped one microsecond after it.

    Columns: item_id, event_timestamp, `item_amount` (thousandths, summed over all events so far), `item_valued` (how
    many they are) and `item_last_amount` (thousandths of the newest; the largest where one moment has several).
    """
    valued = events.filter(events.thousandths.notnull())
    moments = valued.group_by(["item_id", "timestamp"]).aggregate(
        amount=whole(valued.thousandths.sum()), events=valued.count(), item_last_amount=valued.thousandths.max()
    )
    so_far = ibis.window(group_by="item_id", order_by="timestamp", preceding=None, following=0)
    return moments.select(
        "item_id",
        event_timestamp=after(moments.timestamp),
        item_amount=whole(moments.amount.sum().over(so_far)),
        item_valued=whole(moments.events.sum().over(so_far)),
        item_last_amount=moments.item_last_amount,
    )
