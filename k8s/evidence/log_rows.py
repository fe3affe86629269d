"""The rows of the request log that a rollout made: read once a file, since a finished file never changes."""

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
    """Rows of both variants since a moment, with these columns."""

    def __init__(self, workspace: Workspace, columns: tuple[str, ...]) -> None:
        self._workspace = workspace
        needed = {"request_id", "received_at", "variant", "model_version", "rollout", *columns}
        self._schema = pa.schema([field for field in REQUEST_LOG_SCHEMA if field.name in needed])
        self._read: dict[Path, pa.Table] = {}
        self._whose: str | None = None  # the rollout that the rows read so far are of

    def since(self, moment: datetime, rollout: Rollout) -> pa.Table:
        """Rows received from `moment` on by the versions of this rollout, oldest first.

        A process that was told its rollout writes the name; rows with another name are another rollout's.
        """
        if self._whose != rollout.name:
            self._read, self._whose = {}, rollout.name
        first = (moment - EARLIER).strftime("%Y%m%dT%H%M%S")
        files = [file for file in request_log_files(self._workspace) if file.name >= first]
        for file in files:
            if file not in self._read:
                self._read[file] = self._mine(_table(file, self._schema), rollout)
        tables = [self._read[file] for file in files]
        if not tables:
            return self._schema.empty_table()
        rows = pa.concat_tables(tables)
        return rows.filter(pc.greater_equal(rows["received_at"], pa.scalar(moment))).sort_by("received_at")

    def _mine(self, rows: pa.Table, rollout: Rollout) -> pa.Table:
        served = {"stable": rollout.champion, "canary": rollout.challenger}
        fitting = pa.array(
            [
                served.get(variant) == version and name in (None, rollout.name)
                for variant, version, name in zip(
                    *(rows[column].to_pylist() for column in ("variant", "model_version", "rollout")), strict=True
                )
            ],
            pa.bool_(),
        )
        return rows.filter(fitting)


def _table(file: Path, schema: pa.Schema) -> pa.Table:
    with pq.ParquetFile(file) as parquet:
        held = [name for name in schema.names if name in parquet.schema_arrow.names]
        table = parquet.read(held)
    columns = [table[name] if name in held else pa.nulls(len(table), schema.field(name).type) for name in schema.names]
    return pa.table(columns, schema=schema)
