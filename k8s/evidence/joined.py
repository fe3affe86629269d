"""Slates joined to the events on them as both come in: a look costs what is new, and a sum over the users.

The same as `monitoring.experiments.impressions`, which joins all at once: an event counts for the impression whose
request and item it names, from the request's moment on and before the window is over; an impression counts once its
window is over. Rows and events may come in any order and twice. Nothing is kept outside of the process: whoever starts
anew reads the same files again and has the same sums.

Ids are held as 64-bit hashes, some 200 bytes a request in all; among ten million requests two are mistaken for one
with a chance of 3 in a million.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from k8s.evidence.rates import Rate, RateSums
from k8s.evidence.ratio import Products
from monitoring.experiments.impressions import EPOCH, MICROSECOND, in_microseconds

KINDS = ("clicks", "conversions")
# Slates of each variant, the newest, that are compared as lists.
SLATES = 2_000
_TABLES = """
    CREATE TABLE requests (
        request UBIGINT, person UBIGINT, canary BOOLEAN, sticky BOOLEAN, share DOUBLE, moment BIGINT, received BIGINT,
        slate UBIGINT[], clicks INTEGER, conversions INTEGER  -- null until the window is over
    );
    CREATE TABLE events (request UBIGINT, item UBIGINT, moment BIGINT, clicks BOOLEAN, conversions BOOLEAN);
    CREATE TABLE people (
        canary BOOLEAN, person UBIGINT, impressions BIGINT, b DOUBLE,
        clicks BIGINT, clicks_a DOUBLE, conversions BIGINT, conversions_a DOUBLE,
        PRIMARY KEY (canary, person)
    );
"""
# Every impression weighs what the other variant's share of its step is, see RateSums.
_NEW_REQUESTS = """
    INSERT INTO requests
    SELECT hash(request_id), hash(user_id), variant = 'canary', bucket IS NOT NULL,
           CASE WHEN variant = 'canary' THEN 1 - weight ELSE weight END, moment, received_at,
           list_transform(list_filter(slate, lambda item: item IS NOT NULL), lambda item: hash(item)), NULL, NULL
    FROM log WHERE hash(request_id) NOT IN (SELECT request FROM requests)
    QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY moment, variant, slate) = 1
"""
_NEW_EVENTS = """
    INSERT INTO events
    SELECT DISTINCT hash(request_id), hash(item_id), timestamp,
           list_contains($clicks, event_type), list_contains($conversions, event_type)
    FROM answers
"""
# Requests whose window has ended since the last look, and older ones of which this look brought something.
_TOUCHED = """
    CREATE OR REPLACE TEMP TABLE touched AS
    SELECT * FROM requests
    WHERE moment <= $until AND (moment > $since OR request IN (
        SELECT hash(request_id) FROM log UNION ALL SELECT hash(request_id) FROM answers))
"""
_FOUND = """
    CREATE OR REPLACE TEMP TABLE found AS
    WITH hit AS (
        SELECT e.request, e.item, bool_or(e.clicks) AS clicks, bool_or(e.conversions) AS conversions
        FROM events e JOIN touched t ON e.request = t.request AND e.moment >= t.moment AND e.moment < t.moment + $span
        GROUP BY ALL
    ), shown AS (SELECT request, unnest(slate) AS item FROM touched)
    SELECT s.request, count(*) AS impressions, count(*) FILTER (hit.clicks) AS clicks,
           count(*) FILTER (hit.conversions) AS conversions
    FROM shown s LEFT JOIN hit USING (request, item) GROUP BY s.request
"""
_ADDED = """
    INSERT INTO people
    WITH more AS (
        SELECT canary, person, share, CASE WHEN t.clicks IS NULL THEN f.impressions ELSE 0 END AS impressions,
               f.clicks - coalesce(t.clicks, 0) AS clicks, f.conversions - coalesce(t.conversions, 0) AS conversions
        FROM touched t JOIN found f USING (request)
    )
    SELECT canary, person, sum(impressions), sum(share * impressions), sum(clicks), sum(share * clicks),
           sum(conversions), sum(share * conversions)
    FROM more GROUP BY canary, person
    ON CONFLICT (canary, person) DO UPDATE SET
        impressions = impressions + excluded.impressions, b = b + excluded.b,
        clicks = clicks + excluded.clicks, clicks_a = clicks_a + excluded.clicks_a,
        conversions = conversions + excluded.conversions, conversions_a = conversions_a + excluded.conversions_a
"""
_NOTED = """
    UPDATE requests SET clicks = found.clicks, conversions = found.conversions
    FROM found WHERE requests.request = found.request
"""
_SUMS = """
    SELECT count(*), coalesce(sum(impressions), 0), coalesce(sum({kind}), 0), coalesce(sum({kind}_a), 0),
           coalesce(sum(b), 0), coalesce(sum({kind}_a * {kind}_a), 0), coalesce(sum({kind}_a * b), 0),
           coalesce(sum(b * b), 0)
    FROM people WHERE canary = $canary
"""
_BOTH = """
    SELECT coalesce(sum(c.{kind}_a * s.{kind}_a), 0), coalesce(sum(c.{kind}_a * s.b), 0),
           coalesce(sum(c.b * s.{kind}_a), 0), coalesce(sum(c.b * s.b), 0)
    FROM people c JOIN people s USING (person) WHERE c.canary AND NOT s.canary
"""
_UNITS = """
    SELECT canary, count(*), count(*) FILTER (NOT sticky), count(DISTINCT person) FILTER (sticky)
    FROM requests WHERE received >= $since GROUP BY canary
"""
_SLATES = """
    SELECT slate FROM requests WHERE canary = $canary AND received >= $since
    ORDER BY received DESC, request LIMIT $slates
"""


class Joined:
    """The requests of one attempt, and what came of those whose window is over."""

    def __init__(self, *, window: timedelta, types: Mapping[str, tuple[str, ...]]) -> None:
        """`types` are the types of events that count for each of KINDS."""
        self._span = window // MICROSECOND
        self._types = {kind: list(types[kind]) for kind in KINDS}
        self._until = -(2**62)
        self._db = duckdb.connect(config={"threads": 1})
        self._db.execute(_TABLES)

    def add(self, log: pa.Table, events: pa.Table, *, now: datetime) -> None:
        """Take rows of the log, with the canary's weight as a share in `weight`, and events; count what is over now."""
        since, self._until = self._until, max(self._until, _micros(now) - self._span)
        self._db.register("log", in_microseconds(in_microseconds(log, "moment"), "received_at"))
        self._db.register("answers", in_microseconds(events, "timestamp"))
        self._db.execute(_NEW_REQUESTS)
        self._db.execute(_NEW_EVENTS, self._types)
        self._db.execute(_TOUCHED, {"since": since, "until": self._until})
        self._db.execute(_FOUND, {"span": self._span})
        for statement in (_ADDED, _NOTED):
            self._db.execute(statement)

    def rate(self, kind: str) -> Rate | None:
        """The sums of one of KINDS; None while no impression counts."""
        canary, stable = (RateSums(*self._row(_SUMS.format(kind=kind), canary=side)) for side in (True, False))
        if not canary.users + stable.users:
            return None
        return Rate(canary, stable, Products(*self._row(_BOTH.format(kind=kind))))

    def units(self, since: datetime | None = None) -> dict[bool, tuple[int, int, int]]:
        """For the canary (True) and the stable: requests since then, those without a bucket, users of the others."""
        rows = self._db.execute(_UNITS, {"since": _micros(since) if since else -(2**62)}).fetchall()
        return {canary: (total, without, users) for canary, total, without, users in rows}

    def slates(self, since: datetime) -> tuple[list[list[int]], list[list[int]]]:
        """The newest slates of the canary and of the stable since then, SLATES of each at most."""
        canary, stable = (
            self._db.execute(_SLATES, {"canary": one, "since": _micros(since), "slates": SLATES}).fetchall()
            for one in (True, False)
        )
        return [slate for (slate,) in canary], [slate for (slate,) in stable]

    def newest(self) -> datetime | None:
        """When the newest request was received."""
        ((found,),) = self._db.execute("SELECT max(received) FROM requests").fetchall()
        return None if found is None else EPOCH + found * MICROSECOND

    def close(self) -> None:
        self._db.close()

    def _row(self, query: str, **named: Any) -> tuple[float, ...]:
        (row,) = self._db.execute(query, named).fetchall()
        return tuple(map(float, row))


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND
