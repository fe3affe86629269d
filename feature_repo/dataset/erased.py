"""Rows of erased users: counted, and empty."""

import duckdb
import pyarrow as pa

from feature_repo.dataset.tombstone import Tombstones

ERASED = "user was erased"


def refuse_erased(connection: duckdb.DuckDBPyConnection, table: str, erased: Tombstones, *, reason: str) -> None:
    """Empty the rows of erased users in `table`, valid or not, but for the column `reason`.

    A line that is no row may be anybody's: once somebody was erased, its text goes, too.
    """
    if not erased.hashes:
        return
    users = connection.execute(f"SELECT DISTINCT user_id FROM {table} WHERE user_id IS NOT NULL").fetchall()
    connection.register("gone", pa.table({"user_id": pa.array(erased.among(user for (user,) in users), pa.string())}))
    nothing = ", ".join(f'"{name}" = NULL' for name in connection.table(table).columns if name != reason)
    connection.execute(
        f"UPDATE {table} SET {nothing}, {reason} = '{ERASED}' WHERE user_id IN (SELECT user_id FROM gone)"
    )
    connection.execute(f"UPDATE {table} SET _line = NULL WHERE _line IS NOT NULL")
    connection.unregister("gone")
