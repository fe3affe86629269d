"""Reading the request log: one row for each answer, whichever process and version gave it."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.pseudonym import ENVIRONMENT, Pseudonyms
from feature_repo.dataset.request_log_schema import KEY_CHECK, REQUEST_LOG_SCHEMA

ORDER = ("received_at", "request_id")


def request_log_files(workspace: Workspace) -> list[Path]:
    """The finished files of the log, by name, which is by time."""
    return sorted(workspace.request_log.glob("*.parquet"))


def read_request_log(workspace: Workspace, columns: Sequence[str] | None = None) -> pa.Table:
    """Every row of the log, oldest first; an empty table when nothing was served yet.

    A column that a file is too old to have is null in its rows. Only `columns` are read, if they are named, and those
    that the order needs.
    """
    columns = REQUEST_LOG_SCHEMA.names if columns is None else list(columns)
    schema = pa.schema([REQUEST_LOG_SCHEMA.field(name) for name in dict.fromkeys([*columns, *ORDER])])
    tables = [_read(file, schema) for file in request_log_files(workspace)] or [schema.empty_table()]
    return pa.concat_tables(tables).sort_by([(name, "ascending") for name in ORDER]).select(columns)


def require_key(workspace: Workspace, pseudonyms: Pseudonyms | None) -> None:
    """A search for a pseudonym proves something only in files whose pseudonyms have the same key.

    Raises:
        DatasetError: a file was written with another key, or there is a file and no key.
    """
    now = pseudonyms.check if pseudonyms else "not set"
    for file in request_log_files(workspace):
        written = (pq.read_schema(file).metadata or {}).get(KEY_CHECK, b"").decode()
        if written and written != now:
            raise DatasetError(
                f"{file.name} of the request log was written with the pseudonym key {written}, the key now is {now}: "
                f"set {ENVIRONMENT} to the one that wrote it"
            )


def _read(file: Path, schema: pa.Schema) -> pa.Table:
    with pq.ParquetFile(file) as parquet:
        held = [name for name in schema.names if name in parquet.schema_arrow.names]
        table = parquet.read(held)
    columns = [table[name] if name in held else pa.nulls(len(table), schema.field(name).type) for name in schema.names]
    return pa.table(columns, schema=schema)
