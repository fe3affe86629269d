"""The engine that runs the transforms: DuckDB in this process, or Spark (ENGINE=spark) where data outgrow a machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import ibis
import pyarrow as pa
from ibis.expr.types import Table

from feature_repo.core.errors import EngineUnavailable

ENGINES = ("duckdb", "spark")


class Engine(Protocol):
    """Where tables are read from and written to; the expressions between are the same for every engine."""

    def table(self, rows: pa.Table) -> Table:
        """`rows` as a table that expressions can start from."""
        ...

    def write(self, table: Table, path: Path) -> None:
        """Run the expression `table` and write it, in its order, as the one parquet file `path`."""
        ...


class DuckDBEngine:
    """DuckDB in this process, over tables in memory."""

    def __init__(self, connection: ibis.BaseBackend) -> None:
        self._connection = connection

    def table(self, rows: pa.Table) -> Table:
        return ibis.memtable(rows)

    def write(self, table: Table, path: Path) -> None:
        self._connection.to_parquet(table, path)


def engine_name() -> str:
    """The engine that ENGINE names.

    Raises:
        EngineUnavailable: there is no engine of that name.
    """
    name = os.environ.get("ENGINE") or ENGINES[0]
    if name not in ENGINES:
        raise EngineUnavailable(f"ENGINE is one of {', '.join(ENGINES)}; got {name!r}")
    return name


@contextmanager
def open_engine(name: str, scratch: Path) -> Iterator[Engine]:
    """Open the engine `name`, one of ENGINES. What it has to put on disk besides its results goes into `scratch`.

    Raises:
        EngineUnavailable: it is not installed, or did not start.
    """
    if name == "spark":
        from feature_repo.transforms.engine_spark import open_spark

        with open_spark(scratch) as engine:
            yield engine
        return
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'")
    try:
        yield DuckDBEngine(connection)
    finally:
        connection.disconnect()
