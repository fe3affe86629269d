"""Minimum interactions: the largest part of the log in which every user and every item has enough events."""

import duckdb

from feature_repo.dataset.cleaning import Cleaning

TOO_FEW = {"user_id": "user has too few events", "item_id": "item has too few events"}


def refuse_rare(connection: duckdb.DuckDBPyConnection, table: str, limits: Cleaning) -> None:
    """Give the valid rows of users and items with fewer events than the limits their reason, again and again: a user
    who loses a rare item may have too few events left. It ends at a fixed point, which does not depend on the order."""
    fewest = {"user_id": limits.user_events or 1, "item_id": limits.item_events or 1}
    asked = {key: least for key, least in fewest.items() if least > 1}
    refused = bool(asked)
    while refused:
        refused = any(_refuse(connection, table, key, least) for key, least in asked.items())


def _refuse(connection: duckdb.DuckDBPyConnection, table: str, key: str, least: int) -> int:
    """Refuse the rows of each value of `key` with fewer than `least`; returns how many rows that were."""
    rare = f"SELECT {key} FROM {table} WHERE reason IS NULL GROUP BY {key} HAVING count(*) < {least}"
    ((count,),) = connection.execute(
        f"UPDATE {table} SET reason = '{TOO_FEW[key]}' WHERE reason IS NULL AND {key} IN ({rare})"
    ).fetchall()
    return int(count)
