"""Rows that may not be kept: counted under their reason, and empty."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def empty_rows(connection: "duckdb.DuckDBPyConnection", table: str, *, where: str, reason: str) -> None:
    """Empty the rows of `table` that SQL `where` holds for, valid or not, but for their `reason`."""
    names = (name for name in connection.table(table).columns if name != "reason")
    nothing = ", ".join(f'"{name}" = NULL' for name in names)
    connection.execute(f"UPDATE {table} SET {nothing}, reason = '{reason}' WHERE {where}")
