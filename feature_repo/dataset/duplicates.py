"""An event counts once: of the rows with one event id the earliest stays."""

from collections.abc import Sequence

import duckdb

DUPLICATE = "event was already there"
CONFLICT = "event id was already there with other content"


def refuse_duplicates(connection: duckdb.DuckDBPyConnection, table: str, *, content: Sequence[str]) -> None:
    """Give `table`'s repeated rows their reason: a copy, or other `content` (columns, the time first) under the id."""
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE repeated AS
        WITH shared AS (
            SELECT event_id FROM {table} WHERE reason IS NULL GROUP BY event_id HAVING count(*) > 1
        ), told AS (
            SELECT rowid AS place, event_id, row({", ".join(content)}) AS told FROM {table}
            WHERE reason IS NULL AND event_id IN (FROM shared)
        )
        SELECT place, told IS NOT DISTINCT FROM first_value(told) OVER same_id AS copied FROM told
        WINDOW same_id AS (PARTITION BY event_id ORDER BY told, place)
        QUALIFY row_number() OVER same_id > 1"""
    )
    connection.execute(
        f"UPDATE {table} SET reason = CASE WHEN copied THEN '{DUPLICATE}' ELSE '{CONFLICT}' END "
        f"FROM repeated WHERE {table}.rowid = place"
    )
