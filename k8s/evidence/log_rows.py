"""The rows of the request log that an attempt of a rollout made, each handed out once: finished files never change."""

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.request_log import request_log_files
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from k8s.rollout.rollout import Rollout

# A file is named by when it was written, and holds rows from a little before.
EARLIER = timedelta(minutes=1)


class LogRows:
    """Rows of both variants received from `since` on, with these columns."""

    def __init__(self, workspace: Workspace, columns: tuple[str, ...], rollout: Rollout, *, since: datetime) -> None:
        needed = {"request_id", "received_at", "variant", "model_version", "rollout", *columns}
        self.schema = pa.schema([field for field in REQUEST_LOG_SCHEMA if field.name in needed])
        self._workspace = workspace
        self._rollout = rollout
        self._since = since
        self._read: set[Path] = set()

    def unread(self) -> pa.Table:
        """Rows of the files that are there since the last call, in no order."""
        first = (self._since - EARLIER).strftime("%Y%m%dT%H%M%S")
        files = [file for file in request_log_files(self._workspace) if file.name >= first and file not in self._read]
        self._read.update(files)
        return pa.concat_tables(
            [self.schema.empty_table(), *(self._mine(table_of(file, self.schema)) for file in files)]
        )

    def _mine(self, rows: pa.Table) -> pa.Table:
        """Those of this rollout's versions; rows that name another rollout are that one's."""
        served = (("stable", self._rollout.champion), ("canary", self._rollout.challenger))
        ours = [
            pc.and_(pc.equal(rows["variant"], one), pc.equal(rows["model_version"], version)) for one, version in served
        ]
        named = pc.fill_null(pc.equal(rows["rollout"], self._rollout.name), True)
        recent = pc.greater_equal(rows["received_at"], pa.scalar(self._since))
        return rows.filter(pc.and_(pc.and_(pc.or_(*ours), named), recent))


def table_of(file: Path, schema: pa.Schema) -> pa.Table:
    """These columns of a file; one that it is too old to have is null in its rows."""
    with pq.ParquetFile(file) as parquet:
        held = [name for name in schema.names if name in parquet.schema_arrow.names]
        table = parquet.read(held)
    columns = [table[name] if name in held else pa.nulls(len(table), schema.field(name).type) for name in schema.names]
    return pa.table(columns, schema=schema)
