"""How often an item was met in each way, from the weakest event type to the strongest."""

import ibis
from ibis.expr.types import Table

from feature_repo.dataset.declaration import Dataset
from feature_repo.transforms.moments import after, whole


def funnel(dataset: Dataset) -> tuple[str, ...]:
    """The event types with a positive weight, weakest first; empty where there is only one."""
    steps = sorted((weight, kind) for kind, weight in dataset.weights.items() if weight > 0)
    return tuple(kind for _, kind in steps) if len(steps) > 1 else ()


def step_columns(steps: int) -> tuple[str, ...]:
    return tuple(f"item_step_{place}" for place in range(1, steps + 1))


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
