"""One window of recommended items: its size, and a sample of whole requests that is the same on every run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.core.errors import RecommenderError
from monitoring.drift.policy import DriftPolicy
from training.reference import IDENTITY, ITEM, LABEL, MOMENT, REQUEST, USER

ASKED = f"{REQUEST}, {USER} and {MOMENT}"
HASHES = 2**64  # DuckDB's hash is an unsigned 64-bit number


@dataclass(frozen=True)
class WindowSize:
    """How much a window holds, before sampling. `repeated` counts rows that are in it once more."""

    rows: int
    requests: int
    repeated: int = 0


@dataclass(frozen=True)
class Window:
    """`size` counts all rows, `sample` is a table of some; `flaws` say what is wrong with the window as a whole."""

    size: WindowSize
    sample: pa.Table
    flaws: tuple[str, ...] = ()
    source: str = "window"

    @property
    def has_items(self) -> bool:
        return ITEM in self.sample.column_names

    @property
    def features(self) -> pa.Table:
        """What is compared: every column but those that tell rows apart."""
        return self.sample.select([name for name in self.sample.column_names if name not in IDENTITY])


def read_window(path: Path, policy: DriftPolicy) -> Window:
    """Read a parquet file with one row per recommended item.

    Raises:
        RecommenderError: it is no parquet file, or lacks request_id, user_id or moment.
    """
    with duckdb.connect(config={"memory_limit": "1GB", "threads": 2}) as db:
        return _read(db, "read_parquet(?)", [str(path)], path.name, policy)


def window_of(table: pa.Table, policy: DriftPolicy, *, name: str = "window") -> Window:
    """The same from a table in memory, without a database: for many small windows.

    Raises:
        RecommenderError: it lacks request_id, user_id or moment.
    """
    missing = [column for column in (REQUEST, USER, MOMENT) if column not in table.column_names]
    if missing:
        raise RecommenderError(f"{name}: expected columns {ASKED}; got none of {', '.join(missing)}")
    requests = pc.count_distinct(table[REQUEST]).as_py()
    size = WindowSize(table.num_rows, requests, table.num_rows - _different_rows(table))
    flaws = _nameless(table.num_rows, {c: table[c].null_count for c in (USER, MOMENT)})
    if table.num_rows > policy.sample_rows:
        kept = np.random.default_rng(policy.seed).random(requests + 1) < policy.sample_rows / table.num_rows
        table = table.filter(pa.array(kept[codes_of(table[REQUEST])]))
    return Window(size, table, flaws)


def _different_rows(table: pa.Table) -> int:
    """How many rows differ in some column, by a random projection: equal rows have equal sums."""
    sums, rng = np.zeros(table.num_rows), np.random.default_rng(0)
    for column in table.columns:
        kind = column.type
        if pa.types.is_nested(kind):
            continue
        number = pa.types.is_floating(kind) or pa.types.is_integer(kind)
        values = column.to_numpy(zero_copy_only=False) if number else codes_of(column)
        sums += rng.random() * np.nan_to_num(np.asarray(values, np.float64), nan=-1.5)
    return len(np.unique(sums))


def codes_of(column: pa.ChunkedArray) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """A number for each distinct value, null among them, in order of appearance [n]."""
    if not len(column):
        return np.zeros(0, np.int64)
    coded = pc.dictionary_encode(pa.concat_arrays(column.chunks), null_encoding="encode")
    return np.asarray(coded.indices.to_numpy(zero_copy_only=False), np.int64)


def _read(db: duckdb.DuckDBPyConnection, source: str, parameters: list[str], name: str, policy: DriftPolicy) -> Window:
    try:
        columns = db.sql(f"SELECT * FROM {source} LIMIT 0", params=parameters or None).columns
        size, flaws = _size(db, source, parameters, columns)
        share = min(1.0, policy.sample_rows / max(size.rows, 1))
        # A hash and not a reservoir: it takes whole requests, and the same ones whatever the order or the threads.
        below = "" if share == 1 else f" WHERE hash({REQUEST}, {policy.seed:d}) < {int(share * HASHES):d}::UBIGINT"
        sample = db.sql(f"SELECT * FROM {source}{below}", params=parameters or None).to_arrow_table()
    except duckdb.Error as error:
        what = str(error).splitlines()[0]
        raise RecommenderError(f"{name}: expected a parquet file with columns {ASKED}; got {what}") from error
    return Window(size, sample, flaws)


def _size(
    db: duckdb.DuckDBPyConnection, source: str, parameters: list[str], columns: list[str]
) -> tuple[WindowSize, tuple[str, ...]]:
    row = "hash(" + ", ".join(f'"{column}"' for column in columns) + ")"
    query = (
        f"SELECT count(*), count(DISTINCT {REQUEST}), count(*) - count(DISTINCT {row}),"
        f" count({USER}), count({MOMENT}) FROM {source}"
    )
    ((rows, requests, repeated, users, moments),) = db.sql(query, params=parameters or None).fetchall()
    flaws = _nameless(rows, {USER: rows - users, MOMENT: rows - moments})
    return WindowSize(rows=rows, requests=requests, repeated=repeated), flaws


def _nameless(rows: int, missing: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(f"{count:,} of {rows:,} rows have no {column}" for column, count in missing.items() if count)


__all__ = ["IDENTITY", "ITEM", "LABEL", "MOMENT", "REQUEST", "USER", "Window", "WindowSize", "read_window", "window_of"]
