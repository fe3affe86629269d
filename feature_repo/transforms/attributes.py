"""Declared attributes of users and items as dated rows."""

from datetime import datetime

import ibis
from ibis.expr.types import Table


def dated_attributes(table: Table, *, key: str, attributes: tuple[str, ...], first_event: datetime) -> Table:
    """One row for each (`key`, valid_from). Without a date attributes hold from the first event of the log on."""
    since = ibis.coalesce(table.valid_from, ibis.timestamp(first_event).cast("timestamp('UTC')"))
    dated = table.select(key, *attributes, event_timestamp=since)
    newest = ibis.window(group_by=[key, "event_timestamp"], order_by=[dated[a].cast("string") for a in attributes])
    ranked = dated.mutate(place=ibis.row_number().over(newest))
    return ranked.filter(ranked.place == 0).drop("place")
