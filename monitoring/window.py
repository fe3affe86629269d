"""Reads one window of recommended items: its size, and a sample that is the same on every run."""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from feature_repo.core.errors import RecommenderError
from monitoring.drift import DriftPolicy, WindowSize

# Who was asked, what was answered and when: they tell rows apart and are no features.
IDENTITY = frozenset({"request_id", "user_id", "item_id", "moment"})


@dataclass(frozen=True)
class Window:
    """`size` counts all rows; `sample` holds the features of some, in the file's order."""

    size: WindowSize
    sample: pa.Table


def read_window(path: Path, policy: DriftPolicy) -> Window:
    """Read a parquet file with one row per recommended item."""
    # One thread: DuckDB's repeatable sample repeats only when the rows arrive in one order.
    with duckdb.connect(config={"threads": 1}) as db:
        try:
            size = _size(db, path)
            sample = _sample(db, path, policy)
        except duckdb.Error as error:
            what = str(error).splitlines()[0]
            raise RecommenderError(
                f"{path.name}: expected a parquet file with a column request_id; got {what}"
            ) from error
    return Window(size, sample.select([name for name in sample.column_names if name not in IDENTITY]))


def _size(db: duckdb.DuckDBPyConnection, path: Path) -> WindowSize:
    query = "SELECT count(*), count(DISTINCT request_id) FROM read_parquet(?)"
    ((rows, requests),) = db.sql(query, params=[str(path)]).fetchall()
    return WindowSize(rows=rows, requests=requests)


def _sample(db: duckdb.DuckDBPyConnection, path: Path, policy: DriftPolicy) -> pa.Table:
    """Sample in the database, so that a large log never becomes a large table here."""
    return db.sql(
        "SELECT * EXCLUDE (file_row_number) FROM ("
        "  SELECT * FROM read_parquet(?, file_row_number = true)"
        f" USING SAMPLE reservoir({policy.sample_rows:d} ROWS) REPEATABLE ({policy.seed:d})"
        ") ORDER BY file_row_number",
        params=[str(path)],
    ).to_arrow_table()
