"""The door of the event log: what is refused, and why. After it, `events` means valid events."""

from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.declaration import Dataset

# Checked in this order; a row counts under the first rule that it breaks.
_REASONS = (
    ("user_id is missing", "user_id IS NULL OR trim(user_id) = ''"),
    ("item_id is missing", "item_id IS NULL OR trim(item_id) = ''"),
    ("timestamp is missing", "raw_timestamp IS NULL OR trim(raw_timestamp) = ''"),
    ("timestamp is before 1970", "timestamp < TIMESTAMPTZ '1970-01-01 00:00:00+00'"),
    ("timestamp is after now", "timestamp > $now"),
    ("event type has no weight", "event_type IS NULL OR NOT list_contains($types, event_type)"),
    ("value is not finite", "value IS NOT NULL AND NOT isfinite(value)"),
)
DUPLICATE = "event was already there"


@dataclass(frozen=True)
class Cleaned:
    """Valid events sorted by (timestamp, event_id), and how many rows each rule refused."""

    events: pa.Table
    read: int
    refused: dict[str, int]


def clean(
    connection: duckdb.DuckDBPyConnection,
    raw_events: duckdb.DuckDBPyRelation,
    dataset: Dataset,
    *,
    now: datetime,
) -> Cleaned:
    """Split `raw_events` into valid events and counted refusals: read = kept + refused, always.

    Raises:
        DatasetError: a timestamp that is there cannot be read, or no event is left.
    """
    raw_events.create_view("raw_events", replace=True)
    _refuse_unreadable_timestamps(connection, dataset)
    rules = " ".join(f"WHEN {rule} THEN '{reason}'" for reason, rule in _REASONS)
    # The hash is event_id() of event_id.py, computed where the rows are.
    identity = (
        "coalesce(event_id, left(sha256(concat_ws(chr(31), user_id, item_id, CAST(epoch_us(timestamp) AS VARCHAR), "
        "event_type, coalesce(CAST(value AS VARCHAR), ''))), 32))"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE judged AS SELECT * REPLACE ({identity} AS event_id), "
        f"CASE {rules} END AS reason FROM raw_events",
        {"now": now, "types": sorted(dataset.weights)},
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE sorted_out AS
        SELECT * EXCLUDE (reason), CASE WHEN reason IS NULL AND
            row_number() OVER (PARTITION BY event_id, reason IS NULL ORDER BY timestamp, user_id, item_id) > 1
            THEN '{DUPLICATE}' ELSE reason END AS reason FROM judged"""
    )
    refused = connection.execute(
        "SELECT reason, count(*) FROM sorted_out WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason"
    ).fetchall()
    events = connection.sql(
        "SELECT * EXCLUDE (reason, raw_timestamp) FROM sorted_out WHERE reason IS NULL ORDER BY timestamp, event_id"
    ).to_arrow_table()
    counts = {str(reason): int(count) for reason, count in refused}
    if events.num_rows == 0:
        raise DatasetError(f"{dataset.base / dataset.events.path}: no event is left after cleaning; refused: {counts}")
    return Cleaned(events=events, read=events.num_rows + sum(counts.values()), refused=counts)


def _refuse_unreadable_timestamps(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> None:
    unreadable = connection.execute(
        "SELECT raw_timestamp FROM raw_events WHERE timestamp IS NULL AND trim(raw_timestamp) <> '' LIMIT 1"
    ).fetchone()
    if unreadable:
        raise DatasetError(
            f"{dataset.base / dataset.events.path}: column {dataset.events.columns['timestamp']!r} holds timestamps, "
            f"epoch seconds or milliseconds, or ISO 8601; got {unreadable[0]!r}"
        )
