"""What was shown and what came of it: one row for each place of each logged slate, joined to the events on it.

An event counts for the impression whose request and item it names, from the request's moment on and before the window
is over. An impression whose window is not over yet is left out: it may still be clicked, and counting it as unclicked
would make the newest traffic look worst. A request that is logged twice counts once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa

from feature_repo.core.errors import NotMeasurable

MOMENT = pa.timestamp("us", tz="UTC")
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
IMPRESSIONS = pa.schema(
    [
        ("request_id", pa.string()),
        ("user_id", pa.string()),  # the pseudonym, see pseudonym.py
        ("variant", pa.string()),
        ("bucket", pa.int32()),  # of the caller's header; null where the caller sent none, or the log is older
        ("position", pa.int32()),  # from 1
        ("item_id", pa.string()),
        ("propensity", pa.float64()),  # of this item at this position; null where it was not logged
        ("clicked", pa.bool_()),  # one rewarded event or more
        ("value", pa.float64()),  # sum over rewarded events; 0 without any
        ("moment", MOMENT),
        ("model_version", pa.string()),
    ]
)
NEEDED = ("request_id", "user_id", "variant", "slate", "moment", "model_version")
_FIRST_OF_EACH = """
    SELECT request_id, user_id, variant, {bucket} AS bucket, slate, {propensities} AS propensities, moment,
           model_version
    FROM request_log
    QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY moment, variant, slate) = 1
"""
_IMPRESSIONS = """
    WITH shown AS (
        SELECT request_id, user_id, variant, bucket, moment, model_version,
               unnest(slate) AS item_id, unnest(propensities) AS propensity,
               generate_subscripts(slate, 1) AS position
        FROM requests WHERE moment + $span <= $now
    ), named AS (
        SELECT DISTINCT ON ({event_id}) request_id, item_id, timestamp, value
        FROM events WHERE request_id IS NOT NULL AND event_type IN (SELECT unnest($rewarded)) AND timestamp <= $now
    ), earned AS (
        SELECT request_id, item_id, sum(coalesce(e.value, 0)) AS value
        FROM named e JOIN requests r USING (request_id)
        WHERE e.timestamp >= r.moment AND e.timestamp < r.moment + $span
        GROUP BY ALL
    )
    SELECT s.request_id, user_id, variant, bucket, position, s.item_id, propensity, e.request_id IS NOT NULL AS clicked,
           coalesce(e.value, 0) AS value, moment, model_version
    FROM shown s LEFT JOIN earned e ON s.request_id = e.request_id AND s.item_id = e.item_id
    WHERE s.item_id IS NOT NULL
    ORDER BY moment, s.request_id, position
"""
_COUNTS = "SELECT count(*), count(*) FILTER (moment + $span > $now) FROM requests"


@dataclass(frozen=True)
class Joined:
    """`impressions` in the form of IMPRESSIONS, and how many requests of the log do not stand in it."""

    impressions: pa.Table
    immature: int  # their window was not over
    duplicated: int  # rows of the log whose request was logged before


def impressions(
    request_log: pa.Table, events: pa.Table, *, window: timedelta, now: datetime, rewarded: Iterable[str]
) -> pa.Table:
    """The impressions of `join`, for whom the counts do not matter."""
    return join(request_log, events, window=window, now=now, rewarded=rewarded).impressions


def join(
    request_log: pa.Table, events: pa.Table, *, window: timedelta, now: datetime, rewarded: Iterable[str]
) -> Joined:
    """Join slates to the events on them.

    `request_log` is in the form of REQUEST_LOG_SCHEMA, `events` has request_id, item_id, timestamp, event_type, value
    and, so that an event that was sent twice counts once, event_id. `rewarded` are the event types that count.

    Raises:
        NotMeasurable: a column that is needed is missing, or the window is not positive.
    """
    missing = [name for name in NEEDED if name not in request_log.column_names]
    if missing:
        raise NotMeasurable(f"the join needs the request log's column {missing[0]}; got {request_log.column_names}")
    if window <= timedelta(0):
        raise NotMeasurable(f"an attribution window is longer than nothing; got {window}")
    with duckdb.connect() as db:
        db.register("request_log", in_microseconds(request_log, "moment"))
        db.register("events", in_microseconds(events, "timestamp"))
        db.execute(f"CREATE TABLE requests AS {_FIRST_OF_EACH.format(**_optional(request_log))}")
        named = {"span": window // MICROSECOND, "now": (now - EPOCH) // MICROSECOND}
        ((requests, immature),) = db.execute(_COUNTS, named).fetchall()
        event_id = "event_id" if "event_id" in events.column_names else "request_id, item_id, timestamp, event_type"
        query = _IMPRESSIONS.format(event_id=event_id)
        table: pa.Table = db.sql(query, params={**named, "rewarded": sorted(set(rewarded))}).to_arrow_table()
    return Joined(table.cast(IMPRESSIONS), immature, request_log.num_rows - requests)


def in_microseconds(table: pa.Table, name: str) -> pa.Table:
    """DuckDB compares moments that have a zone only with an extension of its own; whole numbers need none."""
    return table.set_column(table.column_names.index(name), name, table[name].cast(MOMENT).cast(pa.int64()))


def _optional(request_log: pa.Table) -> dict[str, str]:
    """Columns that a log may be too old to have."""
    held = request_log.column_names
    return {
        "bucket": "bucket" if "bucket" in held else "CAST(NULL AS INTEGER)",
        "propensities": "propensities" if "propensities" in held else "CAST(NULL AS FLOAT[])",
    }
