"""Rows older than a moment, out of one parquet file: counted, then removed so that a reader sees all or nothing."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.core.errors import RecommenderError
from monitoring.privacy.audit import sync_folder


class RetentionRefused(RecommenderError):
    """What is to be removed cannot be told from what is to be kept."""


def expired_rows(path: Path, column: str, before: datetime) -> int:
    """How many rows of `path` are from before that moment.

    Raises:
        RetentionRefused: the file cannot be read, or does not say when its rows are from.
    """
    return int(pc.sum(_expired(_read(path, [column], column), column, before)).as_py() or 0)


def remove_expired(path: Path, column: str, before: datetime) -> None:
    """Put the rest of the file in its place; a file without a rest goes. Safe to repeat."""
    table = _read(path, None, column)
    rest = table.filter(pc.invert(_expired(table, column, before)))
    if rest.num_rows == table.num_rows:
        return
    if rest.num_rows:
        written = path.stat().st_mtime_ns
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("wb") as file:
            pq.write_table(rest, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        os.utime(partial, ns=(written, written))
        partial.replace(path)
    else:
        path.unlink()
    sync_folder(path.parent)


def _read(path: Path, columns: list[str] | None, column: str) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            kind = file.schema_arrow.field(column).type if column in file.schema_arrow.names else None
            if kind is None or not pa.types.is_timestamp(kind):
                raise RetentionRefused(f"{path} must say in {column} when each row is from; got {kind}")
            return file.read(columns)
    except (pa.ArrowException, OSError) as error:
        raise RetentionRefused(f"{path} cannot be read, so nobody knows how old its rows are: {error}") from None


def _expired(table: pa.Table, column: str, before: datetime) -> pa.ChunkedArray:
    moments = table[column].cast(pa.timestamp("us")).cast(pa.int64())
    limit = round(before.astimezone(UTC).timestamp() * 1e6)
    # A row without a moment may be of any age.
    return pc.fill_null(pc.less(moments, limit), True)
