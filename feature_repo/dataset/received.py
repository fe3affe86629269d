"""Events that arrived over HTTP: how they lie on disk, and how they are read."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.sql import literal

RECEIVED_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("timestamp", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("event_type", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("request_id", pa.string()),
        pa.field("position", pa.int32()),
        pa.field("consent", pa.bool_()),
        pa.field("context", pa.map_(pa.string(), pa.string()), nullable=False),
    ]
)


def received_files(workspace: Workspace) -> list[Path]:
    """The files of all batches that are on disk, sorted."""
    return sorted(workspace.received.glob("*.parquet"))


def read_received(workspace: Workspace) -> pa.Table:
    """Every received event once, by time; of several rows with one event id the earliest counts."""
    files = received_files(workspace)
    if not files:
        return RECEIVED_SCHEMA.empty_table()
    table = pa.concat_tables([pq.ParquetFile(file).read() for file in files])
    table = table.sort_by([("timestamp", "ascending"), ("event_id", "ascending")])
    rows = table.append_column("row", pa.array(range(table.num_rows), pa.int64()))
    first = rows.group_by("event_id").aggregate([("row", "min")])["row_min"]
    return table.take(first.combine_chunks().sort())


def select_received(files: Sequence[Path], *, context: Sequence[str]) -> str:
    """SQL for every row of `files`, repeated ones too, with the columns of the event log and the `context` columns."""
    listed = ", ".join(literal(str(file)) for file in files)
    plain = ", ".join(name for name in RECEIVED_SCHEMA.names if name != "context")
    from_map = "".join(f", context[{literal(name)}] AS {name}" for name in context)
    return f"SELECT {plain}{from_map}, received_file AS _file FROM read_parquet([{listed}], filename = 'received_file')"
