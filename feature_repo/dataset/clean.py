"""The door of the event log: what is refused, and why. After it, `events` means valid events.

Every row that was read stands in one table, and a rule gives the rows that it refuses their reason: so each row is
either kept or in quarantine, under the first rule that it breaks, and no rule can lose one.
"""

from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.consent import refuse_without_consent
from feature_repo.dataset.declaration import Dataset
from feature_repo.dataset.duplicates import refuse_duplicates
from feature_repo.dataset.erased import refuse_erased
from feature_repo.dataset.event_id import ID_DIGITS
from feature_repo.dataset.event_schema import check_events
from feature_repo.dataset.minimum import refuse_rare
from feature_repo.dataset.outliers import refuse_outliers
from feature_repo.dataset.retention import refuse_too_old
from feature_repo.dataset.rules import row_rules
from feature_repo.dataset.sql import literal
from feature_repo.dataset.tombstone import NOBODY, Tombstones

KEPT_CHARACTERS = 1_000  # of a text in quarantine
_JUDGED = "judged"
# Optional columns of an event, in the order of the event log.
_REST = ("value", "request_id", "position", "consent")


@dataclass(frozen=True)
class Cleaned:
    """Valid events sorted by (timestamp, event_id), and the refused rows as they were read, each with its `reason`."""

    read: int
    events: pa.Table
    quarantine: pa.Table

    @property
    def refused(self) -> dict[str, int]:
        """How many rows each rule refused."""
        counted = self.quarantine["reason"].value_counts().to_pylist()
        return {row["values"]: row["counts"] for row in sorted(counted, key=lambda row: str(row["values"]))}


def clean(
    connection: duckdb.DuckDBPyConnection,
    raw_events: duckdb.DuckDBPyRelation,
    dataset: Dataset,
    *,
    now: datetime,
    erased: Tombstones = NOBODY,
    since: datetime | None = None,
) -> Cleaned:
    """Split `raw_events` into valid events and quarantined rows: read = kept + quarantined, always.

    Rows of erased users, without consent, and from before `since` are counted among the quarantined, and empty.

    Raises:
        DatasetError: no timestamp can be read, or no event is left.
    """
    raw_events.create_view("rows_read", replace=True)
    _judge(connection, dataset, now=now)
    refuse_without_consent(connection, _JUDGED, required=dataset.cleaning.consent_required)
    refuse_too_old(connection, _JUDGED, since)
    refuse_erased(connection, _JUDGED, erased, reason="reason")
    refuse_duplicates(
        connection, _JUDGED, content=("timestamp", "user_id", "item_id", "event_type", *_REST, *dataset.events.context)
    )
    refuse_outliers(connection, _JUDGED, dataset.cleaning)
    refuse_rare(connection, _JUDGED, dataset.cleaning)
    events, quarantine = _divide(connection, dataset)
    ((read,),) = connection.execute("SELECT count(*) FROM rows_read").fetchall()
    cleaned = Cleaned(read=read, events=events, quarantine=quarantine)
    _refuse_incomplete(cleaned, dataset)
    check_events(cleaned.events, dataset)
    return cleaned


def _judge(connection: duckdb.DuckDBPyConnection, dataset: Dataset, *, now: datetime) -> None:
    rules = " ".join(f"WHEN {rule} THEN '{reason}'" for reason, rule in row_rules(dataset, now="$now"))
    # The hash is event_id() of event_id.py, computed where the rows are.
    content = "user_id, item_id, CAST(epoch_us(timestamp) AS VARCHAR), event_type, coalesce(CAST(value AS VARCHAR), '')"
    identity = (
        f"CASE WHEN trim(event_id) <> '' THEN event_id "
        f"WHEN _line IS NULL THEN left(sha256(concat_ws(chr(31), {content})), {ID_DIGITS}) END"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_JUDGED} AS SELECT * REPLACE ({identity} AS event_id), "
        f"CASE {rules} END AS reason FROM rows_read",
        {"now": now},
    )
    told = f"count(*) FILTER (raw_timestamp IS NOT NULL AND _line IS NULL), any_value(raw_timestamp) FROM {_JUDGED}"
    ((readable, given, example),) = connection.execute(f"SELECT count(timestamp), {told}").fetchall()
    if given and not readable:
        raise DatasetError(
            f"{dataset.base / dataset.events.path}: column {dataset.events.columns['timestamp']!r} holds timestamps, "
            f"epoch seconds or milliseconds, or ISO 8601, and none of its rows does; got {example[:80]!r}"
        )


def _divide(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> tuple[pa.Table, pa.Table]:
    """The valid rows, each with the weight of its event type as `score`, and the refused ones as they were read."""
    context = dataset.events.context
    scores = " ".join(f"WHEN {literal(kind)} THEN {weight!r}" for kind, weight in dataset.weights.items())
    kept = ", ".join(("event_id", "user_id", "item_id", "timestamp", "event_type", *_REST, *context))
    events = connection.sql(
        f"SELECT {kept}, CAST(CASE event_type {scores} END AS DOUBLE) AS score FROM {_JUDGED} "
        "WHERE reason IS NULL ORDER BY timestamp, event_id"
    ).to_arrow_table()
    as_read = {
        "raw_line": "_line",
        "raw_timestamp": "coalesce(raw_timestamp, CAST(timestamp AS VARCHAR))",
        "raw_value": "coalesce(raw_value, CAST(value AS VARCHAR))",
    }
    texts = ("event_id", "user_id", "item_id", "raw_timestamp", "event_type", "raw_value", "request_id", "raw_line")
    cut = [f"left({as_read.get(name, name)}, {KEPT_CHARACTERS}) AS {name}" for name in (*texts, *context)]
    quarantine = connection.sql(
        f"SELECT {', '.join(cut)}, timestamp, value, position, consent, _file AS read_from, reason FROM {_JUDGED} "
        "WHERE reason IS NOT NULL ORDER BY ALL"
    ).to_arrow_table()
    return events, quarantine


def _refuse_incomplete(cleaned: Cleaned, dataset: Dataset) -> None:
    path = dataset.base / dataset.events.path
    if cleaned.events.num_rows + cleaned.quarantine.num_rows != cleaned.read:
        raise DatasetError(
            f"{path}: kept and quarantined rows must add up to those read; got {cleaned.events.num_rows} and "
            f"{cleaned.quarantine.num_rows} of {cleaned.read}"
        )
    if cleaned.events.num_rows == 0:
        raise DatasetError(f"{path}: no event is left after cleaning; refused: {cleaned.refused}")
