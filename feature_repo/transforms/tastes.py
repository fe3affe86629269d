"""The categories of what a user liked last, one list for each attribute, after each of the user's moments."""

import ibis
from ibis.expr.types import Table

from feature_repo.dataset.declaration import EntityTable
from feature_repo.transforms.sequences import last_of_user
from feature_repo.transforms.state import TASTE_EVENTS, taste_attributes


def tastes(liked: Table, metadata: Table, declared: EntityTable) -> Table:
    """`taste_<attribute>` for each categorical and multi attribute: the values that the last TASTE_EVENTS items had.

    An item's attributes are those that held at the event, or none. `metadata` is the view item_metadata.
    """
    names = taste_attributes(declared)
    values = {f"taste_{name}": _as_list(metadata, name, multi=name in declared.multi) for name in names}
    recorded = metadata.created_timestamp if "created_timestamp" in metadata.columns else metadata.event_timestamp
    dated = metadata.select("item_id", valid_from="event_timestamp", recorded=recorded, **values)
    known = [liked.item_id == dated.item_id, dated.valid_from <= liked.timestamp, dated.recorded <= liked.timestamp]
    events = liked.left_join(dated, known)
    if declared.valid_from or "created_timestamp" in metadata.columns:
        newest = ibis.window(group_by="event_id", order_by=[ibis.desc("valid_from"), ibis.desc("recorded")])
        events = events.mutate(age=ibis.row_number().over(newest)).filter(lambda t: t.age == 0)
    nothing = ibis.literal([], type="array<string>")
    events = events.select(
        "user_id", "timestamp", "item_id", "event_id", **{name: events[name].coalesce(nothing) for name in values}
    )
    lists = last_of_user(events, limit=TASTE_EVENTS, columns={name: name for name in values})
    return lists.mutate(**{name: lists[name].flatten() for name in values})


def _as_list(metadata: Table, name: str, *, multi: bool) -> ibis.expr.types.ArrayValue:
    if multi:
        return metadata[name]
    return ibis.ifelse(metadata[name].isnull(), ibis.null("array<string>"), ibis.array([metadata[name]]))
