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
    """Valid events sorted by (timestamp, event_id), and the refused rows as they were read, each with its `reason`."""

    events: pa.Table
    quarantine: pa.Table

    @property
    def refused(self) -> dict[str, int]:
        """How many rows each rule refused."""
        counted = self.quarantine["reason"].value_counts().to_pylist()
        return {row["values"]: row["counts"] for row in sorted(counted, key=lambda row: str(row["values"]))}

    @property
    def read(self) -> int:
        return int(self.events.num_rows + self.quarantine.num_rows)


def clean(
    connection: duckdb.DuckDBPyConnection,
    raw_events: duckdb.DuckDBPyRelation,
    dataset: Dataset,
    *,
    now: datetime,
) -> Cleaned:
    """Split `raw_events` into valid events and quarantined rows: read = kept + quarantined, always.

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
    quarantine = connection.sql(
        "SELECT * FROM sorted_out WHERE reason IS NOT NULL ORDER BY reason, raw_timestamp, user_id, item_id"
    ).to_arrow_table()
    events = connection.sql(
        "SELECT * EXCLUDE (reason, raw_timestamp) FROM sorted_out WHERE reason IS NULL ORDER BY timestamp, event_id"
    ).to_arrow_table()
    cleaned = Cleaned(events=events, quarantine=quarantine)
    if events.num_rows == 0:
        path = dataset.base / dataset.events.path
        raise DatasetError(f"{path}: no event is left after cleaning; refused: {cleaned.refused}")
    return cleaned


def _refuse_unreadable_timestamps(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> None:
    unreadable = connection.execute(
        "SELECT raw_timestamp FROM raw_events WHERE timestamp IS NULL AND trim(raw_timestamp) <> '' LIMIT 1"
    ).fetchone()
    if unreadable:
        raise DatasetError(
            f"{dataset.base / dataset.events.path}: column {dataset.events.columns['timestamp']!r} holds timestamps, "
            f"epoch seconds or milliseconds, or ISO 8601; got {unreadable[0]!r}"
        )
