"""Behaviour that no person shows: too fast, without a pause, or through most of the catalogue.

A moment is all events of a user at one time: a basket of a hundred products is one. What is refused is the minute, the
session, or, where the whole of it is the sign, everything of the user.
"""

import duckdb

from feature_repo.dataset.cleaning import Cleaning

TOO_FAST = "user has too many moments in this minute"
NO_PAUSE = "session goes on too long without a pause"
WHOLE_CATALOGUE = "user has met too much of the catalogue"
PAUSE = "INTERVAL 30 MINUTE"


def refuse_outliers(connection: duckdb.DuckDBPyConnection, table: str, limits: Cleaning) -> None:
    """Give the valid rows of `table` that no person made their reason; all limits look at the same rows."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE moments AS SELECT DISTINCT user_id, timestamp FROM {table} WHERE reason IS NULL"
    )
    found = [
        (TOO_FAST, _bursts(limits.moments_a_minute)),
        (NO_PAUSE, _sessions(limits.session_hours)),
        (WHOLE_CATALOGUE, _whole_catalogue(table, limits)),
    ]
    columns = "user_id TEXT, since TIMESTAMPTZ, until TIMESTAMPTZ, why TEXT"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE outliers ({columns})")
    for reason, query in found:
        if query:
            connection.execute(f"INSERT INTO outliers SELECT user_id, since, until, '{reason}' FROM ({query})")
    for reason, _ in found:
        connection.execute(
            f"UPDATE {table} SET reason = why FROM outliers WHERE reason IS NULL AND why = '{reason}' "
            f"AND {table}.user_id = outliers.user_id AND timestamp BETWEEN since AND until"
        )
    connection.execute("DROP TABLE moments")


def _bursts(limit: int | None) -> str | None:
    """Clock minutes of a user with more moments than `limit`."""
    if limit is None:
        return None
    return f"""SELECT user_id, min(timestamp) AS since, max(timestamp) AS until FROM moments
        GROUP BY user_id, time_bucket(INTERVAL 1 MINUTE, timestamp) HAVING count(*) > {limit}"""


def _sessions(hours: float | None) -> str | None:
    """Runs of moments less than a pause apart that last longer than `hours`."""
    if hours is None:
        return None
    return f"""WITH paused AS (
            SELECT *, coalesce(timestamp - lag(timestamp) OVER own >= {PAUSE}, true) AS starts FROM moments
            WINDOW own AS (PARTITION BY user_id ORDER BY timestamp)
        ), numbered AS (
            SELECT *, sum(starts::INTEGER) OVER (PARTITION BY user_id ORDER BY timestamp) AS session FROM paused
        )
        SELECT user_id, min(timestamp) AS since, max(timestamp) AS until FROM numbered
        GROUP BY user_id, session HAVING epoch(until) - epoch(since) > {hours * 3600!r}"""


def _whole_catalogue(table: str, limits: Cleaning) -> str | None:
    """Users who met more items than `catalogue_items` and a larger part of all than `catalogue_share`."""
    if limits.catalogue_share is None:
        return None
    least = f"""greatest({limits.catalogue_items},
        {limits.catalogue_share!r} * (SELECT count(DISTINCT item_id) FROM {table} WHERE reason IS NULL))"""
    return f"""WITH busy AS (
            SELECT user_id FROM {table} WHERE reason IS NULL GROUP BY user_id HAVING count(*) > {limits.catalogue_items}
        )
        SELECT user_id, min(timestamp) AS since, max(timestamp) AS until FROM {table}
        WHERE reason IS NULL AND user_id IN (FROM busy)
        GROUP BY user_id HAVING count(DISTINCT item_id) > {least}"""
