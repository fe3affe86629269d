"""Declared attributes of users and items as dated rows."""

from datetime import datetime

import ibis
from ibis.expr.types import Table


def dated_attributes(table: Table, *, key: str, attributes: tuple[str, ...], first_event: datetime) -> Table:
    """One row for each (`key`, valid_from). Without a date attributes hold from the first event of the log on.

    Where `table` has `recorded`, one row for each (`key`, valid_from, recorded): a correction stands beside the row
    that it corrects, and `created_timestamp` says from when each is known; without that date, from valid_from on.
    """
    since = ibis.coalesce(table.valid_from, ibis.timestamp(first_event).cast("timestamp('UTC')"))
    known = {"created_timestamp": ibis.coalesce(table.recorded, since)} if "recorded" in table.columns else {}
    dated = table.select(key, *attributes, event_timestamp=since, **known)
    same = [key, "event_timestamp", *known]
    # By the values, not by their text: each engine writes a number in its own way.
    newest = ibis.window(group_by=same, order_by=[dated[a] for a in attributes])
    ranked = dated.mutate(place=ibis.row_number().over(newest))
    return ranked.filter(ranked.place == 0).drop("place")
